//! A browser that a test drives, by the WebDriver protocol (W3C, "WebDriver"). A small client of our own: those that there
//! are bring an older HTTP and twenty more crates.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::world::root;

/// A browser with one window. Both it and its driver are killed when this is dropped.
pub struct Browser {
    driver: Child,
    runtime: Runtime,
    client: reqwest::Client,
    /// The address of the session.
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts Chromium. `None`: there is none on this machine, and none is required.
    pub fn start() -> Option<Self> {
        let folders = env::var_os("PATH").unwrap_or_default();
        let found = [PathBuf::from("/usr/bin/chromedriver")]
            .into_iter()
            .chain(env::split_paths(&folders).map(|folder| folder.join("chromedriver")));
        let Some(path) = { found }.find(|path| path.is_file()) else {
            assert!(
                env::var_os("BROWSER").is_none_or(|value| value != "required"),
                "there is no chromedriver"
            );
            note("skipped: there is no chromedriver; BROWSER=required makes this a failure");
            return None;
        };
        let mut command = Command::new(path);
        // A group of its own, so that it can be ended with all that it started.
        command
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            Some(line.split_once("started successfully on port ")?.1.trim_end_matches('.').to_owned())
        });
        // It must not wait for a reader.
        thread::spawn(move || lines.for_each(drop));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let session = format!("http://127.0.0.1:{}/session", port.unwrap());
        let mut browser = Self { driver, runtime, client, session, _profile: profile };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "accept",
        }}});
        let started = browser.ask("POST", "", &capabilities);
        browser.session = format!("{}/{}", browser.session, started["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Shows the page as a screen of this size would, in light or dark colours.
    pub fn look(&self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({"url": url}));
    }

    /// Clicks the first element that this selector finds, once there is one.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Presses keys, one after another, wherever the focus is.
    pub fn press(&self, keys: &[&str]) {
        let press =
            |key: &&str| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        self.act(keys.iter().flat_map(press).collect());
    }

    /// Presses a key while another one is held.
    pub fn press_with(&self, held: &str, key: &str) {
        let action = |kind: &str, key: &str| json!({"type": kind, "value": key});
        self.act(vec![
            action("keyDown", held),
            action("keyDown", key),
            action("keyUp", key),
            action("keyUp", held),
        ]);
    }

    fn act(&self, actions: Vec<Value>) {
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.ask("POST", "/actions", &actions);
    }

    /// The text of the first element that this selector finds, as a reader sees it.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let element = self.find(selector);
        self.ask("GET", &format!("/element/{element}/text"), &Value::Null).as_str().unwrap().to_owned()
    }

    /// Waits until an element shows a text.
    #[track_caller]
    pub fn wait_for(&self, selector: &str, text: &str) {
        let script = "const found = [...document.querySelectorAll(arguments[0])]; \
                      return found.some((element) => element.innerText.includes(arguments[1]));";
        self.wait(&format!("{text:?} in {selector}"), || {
            self.script(script, &json!([selector, text])) == true
        });
    }

    /// Runs a script in the page. Arguments are `arguments[0]` and so on.
    #[track_caller]
    pub fn script(&self, script: &str, arguments: &Value) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// Keeps a picture of the window in `target/screenshots/`. It shows more than an empty page with its head.
    #[track_caller]
    pub fn screenshot(&self, name: &str) {
        let bytes = self.picture(name);
        assert!(bytes > EMPTY_PICTURE_BYTES, "target/screenshots/{name}.png shows nothing");
    }

    /// Keeps a picture, whatever it shows. Returns its size in bytes.
    fn picture(&self, name: &str) -> usize {
        let png = self.ask("GET", "/screenshot", &Value::Null);
        let folder = root().join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        let png = STANDARD.decode(png.as_str().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.png")), &png).unwrap();
        png.len()
    }

    /// What the console has had to say since the last look: errors, and what the policy of the page refused.
    pub fn console(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let text = |entry: &Value| {
            format!("{} {}", entry["level"].as_str().unwrap(), entry["message"].as_str().unwrap())
        };
        log.as_array().unwrap().iter().map(text).collect()
    }

    /// The violations of accessibility rules in the page that matter, found by axe-core.
    pub fn violations(&self, axe: &Path) -> Vec<String> {
        // The driver may run what the policy of the page refuses.
        self.script(&fs::read_to_string(axe).unwrap(), &json!([]));
        let script = "const done = arguments[arguments.length - 1]; axe.run().then(({ violations }) => done( \
                      violations.filter(({ impact }) => ['moderate', 'serious', 'critical'].includes(impact)) \
                      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => \
                      html.slice(0, 150) + ' ' + failureSummary).join('; ')}`)));";
        let found = self.ask("POST", "/execute/async", &json!({"script": script, "args": []}));
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let asked = json!({"using": "css selector", "value": selector});
        let mut found = Value::Null;
        self.wait(selector, || {
            found = self.ask("POST", "/elements", &asked)[0].clone();
            !found.is_null()
        });
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn wait(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_there() {
            if begun.elapsed() > PATIENCE {
                self.picture("failed");
                panic!("there is no {what}; target/screenshots/failed.png shows what there is");
            }
            thread::sleep(Duration::from_millis(30));
        }
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.ask("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = self.client.request(method.parse().unwrap(), &url);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = self.runtime.block_on(async { request.send().await?.text().await });
        let mut answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
        assert!(answer["value"].get("error").is_none(), "{method} {path}: {answer:#}");
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let (client, session) = (&self.client, &self.session);
        let end = async { client.delete(session).timeout(Duration::from_secs(5)).send().await };
        let _ = self.runtime.block_on(end);
        // Whatever is left, whether the session was ended or not.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.driver.wait();
    }
}

/// Tells whoever runs the tests that something was not tested.
#[expect(clippy::print_stderr, reason = "a test that is skipped has no other way to say so")]
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// The key of an element in answers (WebDriver, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A page that shows only its head is smaller; the smallest view has half as much again.
const EMPTY_PICTURE_BYTES: usize = 25_000;

const PATIENCE: Duration = Duration::from_secs(60);

/// Keys without a character (WebDriver, 17.4.2).
pub const CONTROL: &str = "\u{e009}";
pub const DOWN: &str = "\u{e015}";
pub const ENTER: &str = "\u{e007}";
pub const RIGHT: &str = "\u{e014}";
