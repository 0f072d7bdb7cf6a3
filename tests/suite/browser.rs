//! The page of `serve` in a real browser: as somebody would use it, with pictures of what they see.

mod driver;

use std::env;
use std::path::PathBuf;

use serde_json::json;
use url::form_urlencoded;

use crate::serving::Bench;
use crate::world::{StoreCopy, sample_store};
use driver::{Browser, CONTROL, DOWN, ENTER, RIGHT, note};

/// From a denied request to an allowed one: understood, mended, tried again.
#[test]
fn a_denial_is_understood_and_mended() {
    let Some(browser) = Browser::start() else { return };
    let bench = Bench::start(&["--edit"]);
    browser.look(1280, 900, "light");
    browser.open(&bench.url());

    // The page offers a request that is denied. The answer says so, and what would allow it.
    browser.click(".suggestions a");
    browser.wait_for(".verdict h2", "Denied: no policy permits");
    browser.open(&format!("{}#try?as=carol&method=POST&path=/pets", bench.url()));
    browser.wait_for(".verdict h2", "Denied: no policy permits carol to post /pets.");
    assert!(browser.text(".verdict").contains("403"));
    assert!(browser.text(".change").contains("add petstore/pets.write to the claim scope"));
    let failing = browser.text(".clause.not-met");
    assert!(failing.contains("context.token.scope.contains(\"petstore/pets.write\")"), "{failing}");
    assert!(failing.contains("context.token.scope is [\"openid\"]"), "{failing}");
    browser.screenshot("try-denied");
    browser.click(".change button");
    browser
        .wait_for(".verdict h2", "Allowed: employees-add-pets-with-the-scope permits carol to post /pets.");
    browser.screenshot("try-allowed");

    // The address of the page keeps the request, so a reload shows it again.
    browser.script("location.reload()", &json!([]));
    browser.wait_for(".verdict h2", "Allowed");
    assert!(browser.script("return location.href", &json!([])).as_str().unwrap().contains("as=carol"));

    // The matrix leads to the explanation of a cell.
    browser.click("#tab-matrix");
    browser.wait_for(".matrix", "deny");
    browser.wait_for(".matrix thead", "carol");
    browser.wait_for(".matrix tbody th", "/");
    browser.screenshot("matrix");
    browser.click("a[aria-label^='bob, post /pets: deny']");
    browser.wait_for(".verdict h2", "Denied: no policy permits bob to post /pets.");

    // A wrong edit is found before it is saved.
    browser.click("#tab-policies");
    browser.click(".files button:nth-of-type(1)");
    choose(&browser, "groups.cedar");
    edit(&browser, "permit (", "permit (\n  oops");
    browser.wait_for(".effects", "1 error");
    browser.wait_for(".effects", "policies/groups.cedar:5:3");
    browser.wait_for(".editor .wrong", "principal");
    browser.screenshot("policies-error");
    edit(&browser, "\n  oops", "");
    browser.wait_for("#editor-help", "as it is on disk");

    // So is one that takes something away from somebody.
    edit(&browser, "|customer", "|visitor");
    browser.wait_for(".effects", "2 answers would change");
    browser.wait_for(".effects", "bob get /pets/{petId}");
    browser.wait_for(".effects", "tests would fail");
    browser.screenshot("policies-effects");
    edit(&browser, "|visitor", "|customer");

    // And one that is meant: customers may add pets now.
    choose(&browser, "attributes.cedar");
    let policy = "\n\n@id(\"customers-add-pets\")\npermit (\n  principal in \
                  PetStore::UserGroup::\"us-east-1_EXAMPLE|customer\",\n  action == \
                  PetStore::Action::\"post /pets\",\n  resource == PetStore::Application::\"PetStore\"\n);\n";
    edit(
        &browser,
        "contains(\"petstore/pets.write\") };",
        &format!("contains(\"petstore/pets.write\") }};{policy}"),
    );
    browser.wait_for(".effects", "1 answer would change");
    browser.click("button.primary.small:not(:disabled)");
    browser.wait_for("#editor-help", "as it is on disk");
    browser.wait_for("#in-force", "revision 2 is in force");
    browser.open(&format!("{}#try?as=bob&method=POST&path=/pets", bench.url()));
    browser.wait_for(".verdict h2", "Allowed: customers-add-pets permits bob to post /pets.");

    // What was seen is kept as a test, and a second request gets the answer of the first out of the cache.
    browser.script(
        "document.querySelector('#answer').querySelectorAll('button').forEach((button) => \
                    button.textContent === 'Save as test' && button.click())",
        &json!([]),
    );
    browser.wait_for(".toast", "Added");
    browser.click("form button[type=submit]");
    browser.wait_for("#answer", "The authorizer was not asked");
    browser.click("#tab-traffic");
    browser.wait_for(".exchanges", "hit");
    browser.wait_for(".exchanges", "revision 2 is in force");
    browser.wait_for("aside", "left");
    browser.screenshot("traffic");
    browser.click(".exchange button.open");
    browser.wait_for(".details", "The answer was made for request");
    browser.screenshot("traffic-details");
    browser.click("aside button");
    browser.wait_for("aside", "Nothing is kept.");
    browser.wait_for(".exchanges", "The cache was flushed");
    assert_eq!(browser.console(), Vec::<String>::new());
    let saved = std::fs::read_to_string(bench.store.path().join("tests/test-bench.yaml")).unwrap();
    assert!(saved.contains("bob, POST /pets: allow"), "{saved}");
}

#[test]
fn the_keyboard_is_enough() {
    let Some(browser) = Browser::start() else { return };
    let bench = Bench::start(&[]);
    browser.look(1280, 900, "dark");
    browser.open(&bench.url());
    browser.wait_for(".suggestions", "asks for");
    // `/` goes to the path, the arrows choose a route, and typing replaces its parameter.
    browser.press(&["/"]);
    browser.press(&[DOWN, DOWN, DOWN]);
    browser.wait_for("#routes [aria-selected=true]", "/pets/{petId}");
    browser.screenshot("try-routes");
    browser.press(&[ENTER, "4", "2"]);
    browser.press_with(CONTROL, ENTER);
    browser.wait_for(".verdict h2", "Allowed: employees-see-pets permits alice to get /pets/{petId}.");
    assert_eq!(browser.script("return document.querySelector('#path').value", &json!([])), "/pets/42");
    // The arrows go from view to view.
    browser.script("document.querySelector('#tab-try').focus()", &json!([]));
    browser.press(&[RIGHT]);
    browser.wait_for("#matrix h2", "Who may call what");
    browser.press(&[RIGHT, RIGHT, RIGHT]);
    browser.wait_for("#traffic h2", "Traffic");
    browser.press(&[RIGHT]);
    browser.wait_for(".verdict h2", "Allowed");
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// Whatever stands in the files of a store, the page shows it as text.
#[test]
fn texts_of_a_store_are_only_texts() {
    let Some(browser) = Browser::start() else { return };
    let store = StoreCopy::of(&sample_store());
    let image = "<img src=x onerror=document.title='hacked'>";
    let policy = format!(
        "@id(\"</script><script>document.title='hacked'</script>\u{202e}\")\npermit (principal, action == \
         PetStore::Action::\"post /pets\", resource) when {{ context.token.client_id == \"{image}\" }};\n"
    );
    store.write("policies/\u{202e}<b>.cedar", policy.as_bytes());
    let persona = format!("[\"{image}\"]\nsub = \"{image}\"\n[__proto__]\nsub = \"proto\"\n");
    store.write("personas.toml", persona.as_bytes());
    let bench = Bench::of(store, &[]);
    browser.look(1280, 900, "light");
    browser.open(&bench.url());
    browser.wait_for("fieldset", image);
    let who: String = form_urlencoded::byte_serialize(image.as_bytes()).collect();
    browser.open(&format!("{}#try?as={who}&method=POST&path=/pets&header=X-A:{who}", bench.url()));
    browser.wait_for(".verdict h2", image);
    browser.wait_for("#answer", "policies/\\u{202e}<b>.cedar:1");
    browser.open(&format!("{}#try?as=__proto__&method=POST&path=/pets", bench.url()));
    browser.wait_for(".verdict h2", "no policy permits __proto__");
    browser.click("#tab-matrix");
    browser.wait_for(".matrix thead", image);
    browser.wait_for(".matrix thead", "__proto__");
    browser.click("#tab-policies");
    browser.wait_for(".files", "\\u{202e}<b>.cedar");
    choose(&browser, "<b>.cedar");
    browser.wait_for("#editor-help", "Line 1 has a character that is not seen, or turns the direction");
    browser.click("#tab-traffic");
    browser.wait_for(".exchanges", image);
    assert_eq!(
        browser
            .script("return document.querySelectorAll('main img, main script, main b b').length", &json!([])),
        0
    );
    assert_eq!(browser.script("return document.title.includes('hacked')", &json!([])), false);
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// Any page can open this one with a request in its address, and a backend may act on it.
#[test]
fn a_request_in_the_address_is_sent_to_no_backend() {
    let Some(browser) = Browser::start() else { return };
    // Nobody listens there.
    let bench = Bench::start(&["--backend", "http://127.0.0.1:9"]);
    browser.look(1280, 900, "light");
    browser.open(&format!("{}#try?as=alice&method=POST&path=/pets", bench.url()));
    browser.wait_for("#answer", "Press Send to send it");
    assert!(bench.process.exchanges().is_empty());
    browser.click("form button[type=submit]");
    browser.wait_for(".verdict", "502");
    // It is the page's own now.
    browser.script("location.reload()", &json!([]));
    browser.wait_for(".verdict", "502");
    assert_eq!(bench.process.exchanges().len(), 2);
    // So is what a cell of the matrix asks for.
    browser.click("#tab-matrix");
    browser.click("a[aria-label^='bob, post /pets: deny']");
    browser.wait_for(".verdict h2", "Denied");
    // Reading changes nothing.
    browser.open("about:blank");
    browser.open(&format!("{}#try?as=alice&method=GET&path=/pets", bench.url()));
    browser.wait_for(".verdict", "502");
}

#[test]
fn every_view_is_accessible_in_light_dark_and_on_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let axe = env::var_os("AXE").map(PathBuf::from);
    if axe.is_none() {
        note("the rules of axe-core are not checked: AXE=<axe.min.js> names it");
    }
    let bench = Bench::start(&[]);
    let views = [
        ("home", "", ".suggestions a"),
        ("try-denied", "#try?as=carol&method=POST&path=/pets", ".change"),
        ("try-forbidden", "#try?as=erin&method=GET&path=/pets", ".policy"),
        ("try-allowed", "#try?as=bob&method=GET&path=/pets/7", ".grant"),
        ("try-refused", "#try?as=bob&expiresIn=-60&method=GET&path=/pets", ".verdict"),
        ("try-claims", "#try?as=bob&claims=%7B%22scope%22%3A%22x%22%7D&method=GET&path=/toys", ".verdict"),
        ("matrix", "#matrix", ".matrix td"),
        ("matrix-groups", "#matrix?by=group", ".matrix td"),
        ("policies", "#policies?file=policies/groups.cedar", ".finding"),
        ("schema", "#schema", ".picture img"),
        ("traffic", "#traffic", ".exchange"),
    ];
    for (look, width, height, scheme) in [
        ("light", 1280, 900, "light"),
        ("dark", 1280, 900, "dark"),
        ("phone", 390, 844, "light"),
        ("phone-dark", 390, 844, "dark"),
    ] {
        browser.look(width, height, scheme);
        for (name, hash, selector) in views {
            browser.open("about:blank");
            browser.open(&format!("{}{hash}", bench.url()));
            browser.wait_for("#in-force", "in force");
            browser.text(selector);
            if name == "traffic" {
                browser.click(".exchange button.open");
            }
            let sideways =
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.script(sideways, &json!([])), 0, "{name} {look} scrolls sideways");
            browser.screenshot(&format!("{name}-{look}"));
            if let Some(axe) = &axe {
                assert_eq!(browser.violations(axe), Vec::<String>::new(), "{name} {look}");
            }
            assert_eq!(browser.console(), Vec::<String>::new(), "{name} {look}");
        }
    }
}

/// Chooses a file of the store.
#[track_caller]
fn choose(browser: &Browser, name: &str) {
    browser.wait_for(".files", name);
    let script = "[...document.querySelectorAll('.files button')] \
                  .find((button) => button.innerText.includes(arguments[0])).click()";
    browser.script(script, &json!([name]));
    browser.wait_for("label[for=source]", name);
}

/// Replaces a piece of the text that is edited, as typing would.
#[track_caller]
fn edit(browser: &Browser, from: &str, to: &str) {
    let script = "const source = document.querySelector('#source'); const at = source.value.indexOf(arguments[0]); \
                  source.focus(); source.setSelectionRange(at, at + arguments[0].length); \
                  document.execCommand('insertText', false, arguments[1]) || document.execCommand('delete'); return at;";
    let at = browser.script(script, &json!([from, to]));
    assert_ne!(at, -1, "there is no {from:?}");
}
