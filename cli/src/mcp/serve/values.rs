//! The arguments of a call: checked against the tool before anything starts, and as the words of a command line.

use serde_json::{Map, Value, json};

use crate::mcp::numbers;
use crate::mcp::serve::argument::{Arg, Kind, Rule};
use crate::mcp::serve::tool::Tool;
use crate::output::sanitize;

/// The longest word of a command line, and variable, that Linux takes.
const WORD_MAX: usize = 131_071;

/// The most that all of them may have.
const ALL_MAX: usize = 1 << 20;

/// What is wrong with an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) argument: String,
    pub(super) message: String,
}

impl Wrong {
    /// As a program reads it.
    pub(super) fn json(&self) -> Value {
        json!({ "argument": sanitize::short(&self.argument), "message": sanitize::line(&self.message) })
    }
}

/// The words and variables of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    /// The arguments that were given.
    pub(super) given: Vec<String>,
}

/// Checks `arguments`, and puts them into words.
pub(super) fn words(tool: &Tool, arguments: &Map<String, Value>) -> Result<Words, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let mut note = |argument: &str, message: String| {
        wrong.push(Wrong { argument: argument.to_owned(), message });
    };
    let mut given = vec![None; tool.args.len()];
    for (name, value) in arguments.iter().filter(|(_, value)| !value.is_null()) {
        let exact = tool.args.iter().position(|arg| arg.name == *name);
        let at = exact.or_else(|| tool.args.iter().position(|arg| same(&arg.name, name)));
        match at.and_then(|at| Some((tool.args.get(at)?, given.get_mut(at)?))) {
            None => note(name, "is not an argument of this tool".to_owned()),
            Some((_, Some(_))) => note(name, "is given twice".to_owned()),
            Some((arg, place)) => match values(tool, arg, value) {
                Ok(values) => *place = Some(values),
                Err(why) => {
                    note(&arg.name, why);
                    *place = Some(Vec::new());
                }
            },
        }
    }
    let is_given = |name: &str| {
        tool.args.iter().zip(&given).any(|(arg, values)| {
            let is_off = arg.kind == Kind::Flag && values.as_deref() == Some(&["false".to_owned()]);
            same(&arg.name, name) && values.is_some() && !is_off
        })
    };
    for (arg, values) in tool.args.iter().zip(&given) {
        if arg.is_required && arg.kind != Kind::Password && values.is_none() {
            note(&arg.name, "is required".to_owned());
        }
    }
    for group in &tool.groups {
        let count = group.args.iter().filter(|name| is_given(name)).count();
        let list = group.args.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let why = match &group.rule {
            Rule::Exclusive if count > 1 => format!("only one of {list} can be given"),
            Rule::Inclusive if count > 0 && count < group.args.len() => {
                format!("{list} go together: give all of them or none")
            }
            Rule::AtLeastOne if count == 0 => format!("give at least one of {list}"),
            Rule::ExactlyOne if count != 1 => format!("give exactly one of {list}"),
            Rule::If(name) if is_given(name) && count < group.args.len() => {
                format!("`{name}` needs {list} as well")
            }
            _ => continue,
        };
        note(group.args.first().map_or("", String::as_str), why);
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let made = arrange(tool, &given);
    let entries = made.variables.iter().map(|(name, value)| name.len() + 1 + value.len());
    let long = made.words.iter().map(String::len).chain(entries).any(|length| length > WORD_MAX);
    let all = made.words.iter().map(|word| word.len() + 1).sum::<usize>();
    let what = if long {
        format!("an argument is longer than {WORD_MAX} bytes")
    } else if all > ALL_MAX {
        format!("all arguments together are longer than {ALL_MAX} bytes")
    } else {
        return Ok(made);
    };
    Err(vec![Wrong { argument: String::new(), message: what }])
}

/// `_` and `-` are the same.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).all(|(a, b)| a == b || (b"_-".contains(&a) && b"_-".contains(&b)))
}

/// What is given for an argument, as texts.
fn values(tool: &Tool, arg: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let takes_list = arg.is_multiple || arg.kind == Kind::Rest;
    let list = match value {
        Value::Array(list) if takes_list => list.as_slice(),
        Value::Array(_) => return Err("takes one value, not a list".to_owned()),
        _ if arg.kind == Kind::Rest => return Err("must be a list of strings".to_owned()),
        one => std::slice::from_ref(one),
    };
    if arg.is_multiple && arg.is_required && list.is_empty() {
        return Err("is required, and the list is empty".to_owned());
    }
    list.iter().map(|value| checked(tool, arg, value)).collect()
}

fn checked(tool: &Tool, arg: &Arg, value: &Value) -> Result<String, String> {
    let text = one(arg, value)?;
    if text.contains('\0') {
        return Err("contains a NUL byte, which no argument can".to_owned());
    }
    let is_number = matches!(arg.kind, Kind::Int | Kind::Float);
    let as_number = text.parse::<f64>().ok().filter(|_| is_number);
    let is_option = |option: &String| *option == text || (is_number && is_same(option, &text));
    if !arg.options.is_empty() && !arg.options.iter().any(is_option) {
        return Err(format!("must be one of {}", arg.options.join(", ")));
    }
    if let (Some((min, max)), Some(number)) = (arg.range, as_number)
        && !(min..=max).contains(&number)
    {
        return Err(format!("is not between {min} and {max}"));
    }
    if arg.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
        return Err("does not match its pattern".to_owned());
    }
    let length = text.chars().count() as u64;
    if let Some(min) = arg.min_length.filter(|min| length < *min) {
        return Err(format!("is shorter than {min} characters"));
    }
    if let Some(max) = arg.max_length.filter(|max| length > *max) {
        return Err(format!("is longer than {max} characters"));
    }
    if tool.is_own && arg.position.is_some() && text.starts_with('-') {
        return Err("starts with `-`, and would be read as an option".to_owned());
    }
    Ok(text)
}

/// Whether two texts are the same number. A float cannot hold every whole number.
fn is_same(one: &str, other: &str) -> bool {
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.parse::<f64>().is_ok_and(|one| other.parse() == Ok(one)),
    }
}

fn one(arg: &Arg, value: &Value) -> Result<String, String> {
    let wanted = match (arg.kind, value) {
        (Kind::Password, _) => return Err("is a secret and cannot be given in a call".to_owned()),
        (Kind::Text | Kind::Rest, Value::String(text)) => return Ok(text.clone()),
        (Kind::Text | Kind::Rest, Value::Number(number)) => return Ok(number.to_string()),
        (Kind::Text | Kind::Rest, _) => "a string",
        (Kind::Int, Value::String(text)) if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() => {
            return Ok(text.clone());
        }
        (Kind::Int, Value::String(text)) if numbers::is_huge(text) => {
            return Err(numbers::HUGE.to_owned());
        }
        (Kind::Int, Value::Number(number)) if !number.is_f64() => return Ok(number.to_string()),
        (Kind::Int, Value::Number(number)) => {
            match number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15) {
                Some(number) => return Ok(format!("{number:.0}")),
                None => "a whole number",
            }
        }
        (Kind::Int, _) => "a whole number",
        (Kind::Float, Value::String(text)) if text.parse().is_ok_and(f64::is_finite) => {
            return Ok(text.clone());
        }
        (Kind::Float, Value::Number(number)) => return Ok(number.to_string()),
        (Kind::Float, _) => "a number",
        (Kind::Bool | Kind::Flag, value) => {
            let word = match value {
                Value::Bool(flag) => return Ok(flag.to_string()),
                Value::String(text) => text.to_ascii_lowercase(),
                other => other.to_string(),
            };
            match word.as_str() {
                "true" | "yes" | "on" | "1" => return Ok("true".to_owned()),
                "false" | "no" | "off" | "0" => return Ok("false".to_owned()),
                _ => "true or false",
            }
        }
    };
    Err(format!("must be {wanted}"))
}

/// The words in the order of the declarations: options, then positions, then the rest.
fn arrange(tool: &Tool, given: &[Option<Vec<String>>]) -> Words {
    let mut made = Words::default();
    let (mut bare, mut rest) = (Vec::new(), Vec::new());
    for (arg, values) in tool.args.iter().zip(given) {
        let Some(values) = values else { continue };
        made.given.push(arg.name.clone());
        let is_on = values.first().is_some_and(|value| value == "true");
        let value = match arg.kind {
            Kind::Bool | Kind::Flag if !arg.is_multiple => if is_on { "1" } else { "0" }.to_owned(),
            _ => values.join("\n"),
        };
        let upper = |text: &str| text.to_ascii_uppercase().replace('-', "_");
        made.variables.push((format!("RUNSPEC_{}_ARG_{}", upper(&tool.name), upper(&arg.name)), value));
        match arg.kind {
            Kind::Flag if is_on => made.words.push(format!("--{}", arg.name)),
            Kind::Flag => {}
            Kind::Rest => rest.extend(values.iter().cloned()),
            _ if tool.is_own && arg.position.is_some() => {
                bare.extend(values.iter().map(|value| (arg.position, value.clone())));
            }
            _ => {
                for value in values {
                    if value.starts_with('-') {
                        made.words.push(format!("--{}={value}", arg.name));
                    } else {
                        made.words.extend([format!("--{}", arg.name), value.clone()]);
                    }
                }
            }
        }
    }
    bare.sort_by_key(|(position, _)| *position);
    made.words.extend(bare.into_iter().map(|(_, value)| value));
    if !rest.is_empty() {
        made.words.push("--".to_owned());
        made.words.extend(rest);
    }
    made
}
