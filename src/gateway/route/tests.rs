use super::*;

fn table(ids: &[&str]) -> RouteTable {
    let mut table = RouteTable::default();
    for id in ids {
        let action = format!("PetStore::Action::{id:?}").parse().unwrap();
        table.insert(Route::from_action(&action).unwrap()).unwrap();
    }
    table
}

#[track_caller]
fn leads(table: &RouteTable, rows: &[(&str, &str, Result<&str, NoRoute>)]) {
    for (verb, path, expected) in rows {
        let found = table.find(verb, path).map(|index| table.route(index).unwrap().to_string());
        assert_eq!(found, expected.map(str::to_owned), "{verb} {path}");
    }
}

#[test]
fn a_static_segment_goes_before_a_parameter_and_that_before_a_greedy_one() {
    let table = table(&["get /pets/{petId}", "get /pets/mine", "get /{proxy+}", "get /"]);
    leads(
        &table,
        &[
            ("GET", "/", Ok("get /")),
            ("GET", "/pets/mine", Ok("get /pets/mine")),
            ("GET", "/pets/7", Ok("get /pets/{petId}")),
            ("GET", "/pets/7/", Ok("get /pets/{petId}")),
            ("GET", "/pets/7/x", Ok("get /{proxy+}")),
            ("GET", "/pets", Ok("get /{proxy+}")),
            ("POST", "/pets", Err(NoRoute::Unmapped)),
        ],
    );
}

#[test]
fn a_verb_goes_before_any() {
    let table = table(&["any /pets", "get /pets"]);
    leads(
        &table,
        &[
            ("GET", "/pets", Ok("get /pets")),
            ("POST", "/pets", Ok("any /pets")),
            ("PROPFIND", "/pets", Ok("any /pets")),
        ],
    );
}

// Measured on a real API: ministackorg/ministack#1423 and floci-io/floci#3399.
#[test]
fn a_resource_without_the_verb_falls_back_to_a_more_general_one() {
    let first = table(&["any /{proxy+}", "get /jobs/{op}", "options /cors_only"]);
    leads(
        &first,
        &[
            ("GET", "/jobs", Ok("any /{proxy+}")),
            ("POST", "/jobs", Ok("any /{proxy+}")),
            ("POST", "/jobs/reboot", Ok("any /{proxy+}")),
            ("GET", "/cors_only", Ok("any /{proxy+}")),
            ("GET", "/jobs/reboot", Ok("get /jobs/{op}")),
        ],
    );
    let second =
        table(&["patch /users/me", "get /users/{userId}", "get /things/real", "post /things/{proxy+}"]);
    leads(
        &second,
        &[
            ("GET", "/users/me", Ok("get /users/{userId}")),
            ("POST", "/things/real", Ok("post /things/{proxy+}")),
            ("DELETE", "/users/me", Err(NoRoute::Unmapped)),
        ],
    );
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_unsafe() {
    let table = table(&["get /pets/{petId}", "get /pets/mine"]);
    leads(
        &table,
        &[
            ("GET", "/pets/M%C3%BCsli", Ok("get /pets/{petId}")),
            ("GET", "/pets/%6Dine", Err(NoRoute::Unsafe)),
            ("GET", "/pets/%256Dine", Err(NoRoute::Unsafe)),
            ("GET", "/pets/a%2Fb", Err(NoRoute::Unsafe)),
            ("GET", "/pets/a%00b", Err(NoRoute::Unsafe)),
            ("GET", "/pets/a%3Fb", Err(NoRoute::Unsafe)),
            ("GET", "/pets/%FF", Err(NoRoute::Unsafe)),
            ("GET", "/pets/%2525252525", Err(NoRoute::Unsafe)),
            ("GET", "/pets/..", Err(NoRoute::Unsafe)),
            ("GET", "/pets/%2e%2e", Err(NoRoute::Unsafe)),
            ("GET", "//pets/7", Err(NoRoute::Unsafe)),
            ("GET", "/pets//", Err(NoRoute::Unsafe)),
            ("GET", "/pets/a\\b", Err(NoRoute::Unsafe)),
            ("GET", "pets", Err(NoRoute::Unsafe)),
        ],
    );
}

#[test]
fn a_path_whose_readings_all_have_routes_has_all_of_them() {
    let table = table(&["get /pets/{petId}", "get /pets/mine"]);
    for (path, expected) in [
        ("/pets/mine", Ok(&["get /pets/mine"][..])),
        ("/pets/7", Ok(&["get /pets/{petId}"])),
        ("/pets/M%C3%BCsli", Ok(&["get /pets/{petId}"])),
        ("/pets/%6Dine", Ok(&["get /pets/{petId}", "get /pets/mine"])),
        ("/pets/%256Dine", Ok(&["get /pets/{petId}", "get /pets/mine"])),
        // Not text, but always the same route.
        ("/pets/%FF", Ok(&["get /pets/{petId}"])),
        ("/pets/%C2%85", Err(NoRoute::Unsafe)),
        ("/%70ets/7", Err(NoRoute::Unsafe)),
        ("/toys/%FF", Err(NoRoute::Unmapped)),
        ("/pets/a%2Fb", Err(NoRoute::Unsafe)),
        ("/pets/a%00b", Err(NoRoute::Unsafe)),
        ("/pets/a%3Fb", Err(NoRoute::Unsafe)),
        ("/pets/%C0%AF", Err(NoRoute::Unsafe)),
        ("/pets/a%C1", Err(NoRoute::Unsafe)),
        ("/pets/%E0%80%AF", Err(NoRoute::Unsafe)),
        ("/pets/%F0%80%80%AF", Err(NoRoute::Unsafe)),
        ("/pets/%25C0%25AF", Err(NoRoute::Unsafe)),
        ("/pets/%2525252525", Err(NoRoute::Unsafe)),
    ] {
        let found = table.find_all("GET", path).map(|found| {
            found.into_iter().map(|index| table.route(index).unwrap().to_string()).collect::<Vec<_>>()
        });
        let expected = expected.map(|routes| routes.iter().map(ToString::to_string).collect());
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn what_iam_would_read_as_a_pattern_is_a_text_to_a_route() {
    let table = table(&["get /pets/{petId}"]);
    for path in ["/pets/*", "/pets/${aws:username}", "/pets/a:b"] {
        assert_eq!(table.find("GET", path), Ok(RouteId(0)), "{path}");
    }
    // This one would begin a query.
    assert_eq!(table.find("GET", "/pets/a?"), Err(NoRoute::Unsafe));
}

#[test]
fn two_parameters_at_one_place_are_one_resource() {
    let mut table = table(&["get /pets/{petId}"]);
    let action = "PetStore::Action::\"get /pets/{name}\"".parse().unwrap();
    let conflict = table.insert(Route::from_action(&action).unwrap()).unwrap_err();
    assert_eq!(conflict.with.to_string(), "get /pets/{petId}");
}

#[test]
fn an_action_id_that_is_no_method_and_template_is_no_route() {
    for id in ["view", "GET /pets", "get pets", "get /pets/{}", "get /a/{p+}/b", "get /a//b"] {
        let action = format!("PetStore::Action::{id:?}").parse().unwrap();
        assert_eq!(Route::from_action(&action), None, "{id}");
    }
}

#[test]
fn a_route_that_api_gateway_chose_is_found_by_its_template() {
    let table = table(&["get /pets/{petId}", "any /pets/{petId}", "get /pets", "$default", "$connect"]);
    for (verb, template, expected) in [
        (Some("GET"), "/pets/{petId}", Ok("get /pets/{petId}")),
        (Some("PUT"), "/pets/{petId}", Ok("any /pets/{petId}")),
        (Some("PROPFIND"), "/pets/{petId}", Ok("any /pets/{petId}")),
        (Some("PUT"), "/pets", Err(NoRoute::Unmapped)),
        (Some("GET"), "/pets/{id}", Err(NoRoute::Unmapped)),
        (Some("GET"), "/pets/7", Err(NoRoute::Unmapped)),
        (Some("GET"), "$default", Ok("any $default")),
        (None, "$connect", Ok("any $connect")),
        (None, "/pets", Err(NoRoute::Unmapped)),
    ] {
        assert_eq!(
            table.get(verb, template).map(|index| table.route(index).unwrap().to_string()),
            expected.map(str::to_owned),
            "{template}"
        );
    }
    // No path leads to a route key.
    assert_eq!(table.find("GET", "/$default"), Err(NoRoute::Unmapped));
}

#[test]
fn the_values_of_parameters_are_the_segments_of_the_path() {
    let values = |template: &str, path: &str| {
        let values = template.parse::<PathTemplate>().unwrap().values(path);
        values.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(values("/pets/{petId}", "/pets/7/"), ["petId=7"]);
    assert_eq!(values("/{a}/x/{b+}", "/1/x/2/3"), ["a=1", "b=2/3"]);
    assert_eq!(values("/", "/"), [""; 0]);
}

#[test]
fn templates_print_as_they_were_written() {
    for text in ["/", "/pets", "/pets/{petId}", "/files/{path+}", "/v1.0/a,b:c"] {
        assert_eq!(text.parse::<PathTemplate>().unwrap().to_string(), text);
    }
}

#[test]
fn a_verb_is_in_upper_case() {
    assert_eq!(Method::from_verb("GET"), Some(Method::Get));
    for verb in ["get", "Get", "GE", "GETS", "ANY", ""] {
        assert_eq!(Method::from_verb(verb), None, "{verb}");
    }
}
