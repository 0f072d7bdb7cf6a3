//! The rules of the embedded metric format, from its specification: CloudWatch User Guide, "Specification: Embedded
//! metric format", with the JSON schema at its end, and `MetricDatum` and `Dimension` in the API Reference.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What CloudWatch makes of a line: the value of each metric under each set of dimensions.
pub type Metrics = BTreeMap<(String, Dimensions), (f64, String)>;

/// The names and values of a set of dimensions.
pub type Dimensions = BTreeMap<String, String>;

/// Reads a line as CloudWatch does, and fails where it would leave something out.
#[track_caller]
pub fn read(line: &str) -> Metrics {
    match try_read(line) {
        Ok(metrics) => metrics,
        Err(problem) => panic!("{problem}: {line}"),
    }
}

pub fn try_read(line: &str) -> Result<Metrics, String> {
    require(line.len() <= 256 * 1024, "longer than 256 KB")?;
    let root: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let root = object(&root)?;
    let metadata = object(member(root, "_aws")?)?;
    require(member(metadata, "Timestamp")?.is_u64(), "the time is not a whole number")?;
    let mut metrics = Metrics::new();
    let directives = array(member(metadata, "CloudWatchMetrics")?)?;
    require(!directives.is_empty(), "no directives")?;
    for directive in directives {
        let directive = object(directive)?;
        require(directive.len() == 3, "a directive has members that nobody knows")?;
        require(is_namespace(text(member(directive, "Namespace")?)?), "not a namespace")?;
        let sets = array(member(directive, "Dimensions")?)?;
        let definitions = array(member(directive, "Metrics")?)?;
        require(!sets.is_empty(), "no set of dimensions")?;
        require((1..=100).contains(&definitions.len()), "more than 100 metrics, or none")?;
        for set in sets {
            let dimensions = dimensions(root, array(set)?)?;
            for definition in definitions {
                let definition = object(definition)?;
                require(definition.len() == 2, "a metric without a unit, or with more")?;
                let (name, unit) = (text(member(definition, "Name")?)?, text(member(definition, "Unit")?)?);
                require((1..=255).contains(&name.len()), "the name of a metric is empty or too long")?;
                require(UNITS.contains(&unit), "not a unit")?;
                let value = member(root, name)?.as_f64().ok_or("a value is not a number")?;
                // `PutMetricData` refuses what is larger.
                require(value.is_finite() && value.abs() < 2f64.powi(360), "not a value of CloudWatch")?;
                let known = metrics.insert((name.to_owned(), dimensions.clone()), (value, unit.to_owned()));
                require(known.is_none(), "a metric is defined twice")?;
            }
        }
    }
    Ok(metrics)
}

fn dimensions(root: &Map<String, Value>, names: &[Value]) -> Result<Dimensions, String> {
    require(names.len() <= 30, "more than 30 dimensions")?;
    let mut dimensions = Dimensions::new();
    for name in names {
        let name = text(name)?;
        let value = text(member(root, name)?)?;
        require((1..=255).contains(&name.len()) && !name.starts_with(':'), "not the name of a dimension")?;
        let is_printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        require(is_printable && !value.trim().is_empty(), "not the value of a dimension")?;
        require(value.len() <= 1024, "the value of a dimension is too long")?;
        require(dimensions.insert(name.to_owned(), value.to_owned()).is_none(), "a dimension twice")?;
    }
    Ok(dimensions)
}

fn is_namespace(text: &str) -> bool {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || ".-_/#: ".contains(char);
    (1..=255).contains(&text.len()) && !text.starts_with([':', ' ']) && text.chars().all(is_allowed)
}

fn require(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value, String> {
    object.get(name).ok_or_else(|| format!("no member `{name}`"))
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("not an object: {value}"))
}

fn array(value: &Value) -> Result<&[Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("not an array: {value}"))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("not a text: {value}"))
}

/// Those of `MetricDatum` that are used here.
const UNITS: [&str; 5] = ["Seconds", "Milliseconds", "Microseconds", "Count", "None"];

#[test]
fn lines_that_cloudwatch_would_not_take_are_refused() {
    let line = |metadata: &str, members: &str| format!("{{\"_aws\":{metadata}{members}}}");
    let good = r#"{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["d"]],"Metrics":[{"Name":"M","Unit":"Count"}]}]}"#;
    assert_eq!(read(&line(good, r#","d":"x","M":1"#)).len(), 1);
    for members in
        ["", r#","d":"x""#, r#","M":1"#, r#","d":1,"M":1"#, r#","d":"x","M":"1""#, r#","d":"","M":1"#]
    {
        assert!(try_read(&line(good, members)).is_err(), "{members}");
    }
    for (from, to) in [
        ("\"Timestamp\":1,", ""),
        ("\"Timestamp\":1,", "\"Timestamp\":1.5,"),
        ("\"N\"", "\"\""),
        ("\"N\"", "\":N\""),
        ("[[\"d\"]]", "[]"),
        ("\"Unit\":\"Count\"", "\"Unit\":\"Counts\""),
        ("[{\"Name\":\"M\",\"Unit\":\"Count\"}]", "[]"),
        ("\"Metrics\"", "\"Metric\""),
    ] {
        assert!(try_read(&line(&good.replace(from, to), r#","d":"x","M":1"#)).is_err(), "{to}");
    }
}
