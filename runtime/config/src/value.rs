//! Reads one value of the file, of a variable or of a flag against the kind its key takes.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::Value;
use toml::de::{DeFloat, DeInteger, DeValue};

use crate::diagnostic::nearest;
use crate::schema::Kind;

/// What is wrong with a value: the bytes meant, the reason, a suggestion if there is one.
pub(crate) struct Refusal {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

/// The value in its normal form (whole numbers as floats where a float is meant, specs as text), or
/// every reason against it.
pub(crate) fn read(kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Refusal>> {
    match kind {
        Kind::Pair(each) => pair(each, value),
        Kind::List(each) => list(each, value),
        Kind::Auto(each) => match value.get_ref() {
            DeValue::String(word) if word == "auto" => Ok(Value::String("auto".into())),
            DeValue::String(word) => {
                refuse(value, format!("`{word}` is neither \"auto\" nor a number"), None)
            }
            _ => read(each, value),
        },
        _ => scalar(kind, value.get_ref()).map_err(|(message, suggestion)| {
            vec![Refusal { span: value.span(), message, suggestion }]
        }),
    }
}

/// Reads the text of a variable or of `--set`: TOML where it is TOML, else a plain word, else a list
/// without its brackets.
pub(crate) fn read_text(kind: &Kind, text: &str) -> Result<Value, Vec<Refusal>> {
    let whole = |value: DeValue<'_>| read(kind, &Spanned::new(0..text.len(), value));
    let quoted = text.starts_with(['"', '\'']);
    let wordy = matches!(kind, Kind::Text | Kind::Spec(_) | Kind::Word(_));
    if wordy && !quoted {
        return whole(DeValue::String(Cow::Borrowed(text)));
    }
    if matches!(kind, Kind::Pair(_) | Kind::List(_)) && !text.trim_start().starts_with('[') {
        return read_bare_list(kind, text);
    }
    match DeValue::parse(text) {
        Ok(value) => read(kind, &value),
        Err(_) => whole(DeValue::String(Cow::Borrowed(text))),
    }
}

/// `64,64` and `ci,wave`: a list as people type it in a shell.
fn read_bare_list(kind: &Kind, text: &str) -> Result<Value, Vec<Refusal>> {
    let mut items = toml::de::DeArray::new();
    let mut start = 0;
    for part in text.split(',') {
        let value = match DeValue::parse(part.trim()) {
            Ok(value) => value.into_inner(),
            Err(_) => DeValue::String(Cow::Borrowed(part.trim())),
        };
        if !text.is_empty() {
            items.push(Spanned::new(start..start + part.len(), value));
        }
        start += part.len() + 1;
    }
    read(kind, &Spanned::new(0..text.len(), DeValue::Array(items)))
}

fn refuse(
    value: &Spanned<DeValue<'_>>,
    message: String,
    suggestion: Option<String>,
) -> Result<Value, Vec<Refusal>> {
    Err(vec![Refusal { span: value.span(), message, suggestion }])
}

fn pair(each: &Kind, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Refusal>> {
    match value.get_ref() {
        DeValue::Array(items) if items.len() == 2 => list(each, value),
        DeValue::Array(items) => {
            refuse(value, format!("expected two values, found {}", items.len()), None)
        }
        other => refuse(value, format!("expected two values, found {}", describe(other)), None),
    }
}

fn list(each: &Kind, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Refusal>> {
    let DeValue::Array(items) = value.get_ref() else {
        return refuse(
            value,
            format!("expected a list, found {}", describe(value.get_ref())),
            None,
        );
    };
    let mut values = Vec::new();
    let mut refusals = Vec::new();
    for item in items.iter() {
        match read(each, item) {
            Ok(value) => values.push(value),
            Err(more) => refusals.extend(more),
        }
    }
    if refusals.is_empty() { Ok(Value::Array(values)) } else { Err(refusals) }
}

type Scalar = Result<Value, (String, Option<String>)>;

fn scalar(kind: &Kind, value: &DeValue<'_>) -> Scalar {
    let wrong = |expected: &str| (format!("expected {expected}, found {}", describe(value)), None);
    match kind {
        Kind::Bool => match value {
            DeValue::Boolean(flag) => Ok(Value::Boolean(*flag)),
            _ => Err(wrong("true or false")),
        },
        Kind::Int(min, max) | Kind::Pow2(min, max) | Kind::Odd(min, max) => match value {
            DeValue::Integer(digits) => whole(kind, digits, *min, *max),
            _ => Err(wrong("a whole number")),
        },
        Kind::Finite | Kind::Positive | Kind::UpTo(_) | Kind::ZeroOr(..) | Kind::Within(..) => {
            match value {
                DeValue::Integer(digits) => {
                    number(kind, digits.as_str().parse().ok(), digits.as_str())
                }
                DeValue::Float(digits) => number(kind, float(digits), digits.as_str()),
                _ => Err(wrong("a number")),
            }
        }
        Kind::Text => match value {
            DeValue::String(text) if text.trim().is_empty() => {
                Err(("the text is empty".into(), None))
            }
            DeValue::String(text) => Ok(Value::String(text.to_string())),
            _ => Err(wrong("a text in quotes")),
        },
        Kind::Spec(check) => {
            let text = match value {
                DeValue::String(text) => text.as_ref(),
                DeValue::Integer(digits) => digits.as_str(),
                DeValue::Float(digits) => digits.as_str(),
                _ => return Err(wrong("a text in quotes")),
            };
            check(text).map_err(|reason| (reason, None))?;
            Ok(Value::String(text.into()))
        }
        Kind::Word(words) => match value {
            DeValue::String(word) if words.contains(&word.as_ref()) => {
                Ok(Value::String(word.to_string()))
            }
            DeValue::String(word) => {
                let message = format!("`{word}` is not one of {}", words.join(", "));
                Err((message, nearest(word, words.iter().copied()).map(str::to_owned)))
            }
            _ => Err(wrong("a word in quotes")),
        },
        Kind::Auto(_) | Kind::Pair(_) | Kind::List(_) => Err(wrong("one value")),
    }
}

fn whole(kind: &Kind, digits: &DeInteger<'_>, min: u64, max: u64) -> Scalar {
    let outside = || (format!("{digits} is outside {min}..={max}"), None);
    let value = i128::from_str_radix(digits.as_str(), digits.radix()).map_err(|_| outside())?;
    let value = u64::try_from(value).map_err(|_| outside())?;
    if value < min || value > max {
        return Err(outside());
    }
    match kind {
        Kind::Pow2(..) if !value.is_power_of_two() => {
            let message = format!("{value} is not a power of two");
            Err((message, Some(value.next_power_of_two().min(max).to_string())))
        }
        Kind::Odd(..) if value % 2 == 0 => {
            Err((format!("{value} is even"), Some((value + 1).min(max).to_string())))
        }
        _ => i64::try_from(value).map(Value::Integer).map_err(|_| outside()),
    }
}

fn float(digits: &DeFloat<'_>) -> Option<f64> {
    digits.as_str().parse().ok()
}

fn number(kind: &Kind, value: Option<f64>, text: &str) -> Scalar {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return Err((format!("{text} is not a finite number"), None));
    };
    match kind {
        Kind::Positive | Kind::Within(..) if value <= 0.0 => {
            Err((format!("{text} is not above 0"), None))
        }
        Kind::UpTo(_) | Kind::ZeroOr(..) if value < 0.0 => {
            Err((format!("{text} is below 0"), None))
        }
        Kind::Within(min, _) if value < *min => Err((format!("{text} is below {min:e}"), None)),
        Kind::ZeroOr(min, _) if value > 0.0 && value < *min => {
            Err((format!("{text} is neither 0 nor at least {min}"), None))
        }
        Kind::Within(_, max) if value > *max => Err((format!("{text} is above {max:e}"), None)),
        Kind::UpTo(max) | Kind::ZeroOr(_, max) if value > *max => {
            Err((format!("{text} is above {max}"), None))
        }
        _ => Ok(Value::Float(value)),
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(digits) => format!("the number {digits}"),
        DeValue::Float(digits) => format!("the number {digits}"),
        DeValue::Boolean(flag) => format!("{flag}"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
