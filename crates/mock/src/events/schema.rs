//! The part of JSON Schema by which events are made and checked.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::limits::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_LENGTH};
use crate::random::Random;
use crate::templates::rfc3339;

/// A JSON Schema by which data can be drawn and checked: `docs/mock-events.md` lists its keywords.
#[derive(Clone, Debug)]
pub struct EventSchema {
    title: String,
    node: Node,
}

/// What of a schema is not understood. Nothing is passed over in silence but annotations.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// The keyword is none of those that are known here.
    #[error("{path}: {keyword:?} is not understood here")]
    Keyword {
        /// The JSON Pointer of the schema that has it.
        path: String,
        /// The keyword.
        keyword: String,
    },
    /// The keyword has a value that it cannot have.
    #[error("{path}: {keyword:?} should be {expected}")]
    Value {
        /// The JSON Pointer of the schema that has it.
        path: String,
        /// The keyword.
        keyword: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// No data fits it, or none that can be found by drawing.
    #[error("{path}: nothing fits: {reason}")]
    Nothing {
        /// The JSON Pointer of the schema.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// Schemas are too deep within each other.
    #[error("{path}: more than {MAX_SCHEMA_DEPTH} schemas are within each other")]
    TooDeep {
        /// The JSON Pointer of the schema that is too deep.
        path: String,
    },
}

#[derive(Clone, Debug)]
enum Node {
    /// Anything.
    Any,
    /// One of these values.
    Values(Vec<Value>),
    /// Any of these schemas.
    AnyOf(Vec<Node>),
    /// Any of these types.
    Types(Vec<Type>),
}

#[derive(Clone, Debug)]
enum Type {
    Null,
    Boolean,
    Integer { low: Option<i64>, high: Option<i64> },
    Number { low: Option<f64>, high: Option<f64> },
    String { least: usize, most: usize, format: Option<Format> },
    Array { items: Box<Node>, least: usize, most: usize },
    Object { members: Vec<Member>, others: bool },
}

#[derive(Clone, Debug)]
struct Member {
    name: String,
    required: bool,
    node: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    DateTime,
    Date,
    Email,
    Uuid,
    Ipv4,
    Uri,
}

const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];
/// How many more than it must have a drawn text or list has at most.
const USUAL_CHARACTERS: usize = 12;
const USUAL_ELEMENTS: usize = 4;
/// Whole numbers up to here are the same in every reader of JSON.
const SAFE: i64 = (1 << 53) - 1;

impl EventSchema {
    /// Reads a schema.
    pub fn new(schema: &Value) -> Result<Self, SchemaError> {
        let title = schema.get("title").and_then(Value::as_str).unwrap_or("event").to_owned();
        Ok(Self { title, node: node(schema, &mut String::new(), 0)? })
    }

    /// What it calls itself; `event` if nothing.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether data fits.
    pub fn fits(&self, value: &Value) -> bool {
        self.node.fits(value)
    }

    pub(super) fn draw(&self, random: &mut Random) -> Value {
        self.node.draw(random)
    }
}

type Read<T> = Result<T, SchemaError>;

fn node(schema: &Value, path: &mut String, depth: usize) -> Read<Node> {
    if depth > MAX_SCHEMA_DEPTH {
        return Err(SchemaError::TooDeep { path: path.clone() });
    }
    let keywords = match schema {
        Value::Bool(true) => return Ok(Node::Any),
        Value::Object(keywords) => keywords,
        _ => {
            return Err(SchemaError::Nothing {
                path: path.clone(),
                reason: "a schema is an object, or true",
            });
        }
    };
    let mut schema = Schema { keywords, path, depth };
    for choice in ["enum", "const", "anyOf", "oneOf"] {
        if let Some(value) = keywords.get(choice) {
            // `type` beside a list of values says what they are anyhow.
            let typed = matches!(choice, "enum" | "const");
            schema.only(&|keyword| keyword == choice || (typed && keyword == "type"))?;
            return schema.choice(choice, value);
        }
    }
    schema.types()
}

struct Schema<'a> {
    keywords: &'a Map<String, Value>,
    path: &'a mut String,
    depth: usize,
}

impl Schema<'_> {
    fn wrong(&self, keyword: &'static str, expected: &'static str) -> SchemaError {
        SchemaError::Value { path: self.path.clone(), keyword, expected }
    }

    fn nothing(&self, reason: &'static str) -> SchemaError {
        SchemaError::Nothing { path: self.path.clone(), reason }
    }

    fn only(&self, known: &dyn Fn(&str) -> bool) -> Read<()> {
        let unknown = self.keywords.keys().find(|it| !known(it) && !ANNOTATIONS.contains(&it.as_str()));
        match unknown {
            Some(keyword) => Err(SchemaError::Keyword { path: self.path.clone(), keyword: keyword.clone() }),
            None => Ok(()),
        }
    }

    fn inner(&mut self, schema: &Value, segments: &[&str]) -> Read<Node> {
        let length = self.path.len();
        for segment in segments {
            self.path.push('/');
            self.path.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        }
        let inner = node(schema, self.path, self.depth + 1)?;
        self.path.truncate(length);
        Ok(inner)
    }

    fn choice(&mut self, keyword: &'static str, value: &Value) -> Read<Node> {
        if keyword == "const" {
            return Ok(Node::Values(vec![value.clone()]));
        }
        let list = value.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| self.wrong(keyword, "a list that is not empty"))?;
        if keyword == "enum" {
            return Ok(Node::Values(list.clone()));
        }
        let choices = list.iter().enumerate();
        let nodes: Read<Vec<_>> =
            choices.map(|(index, schema)| self.inner(schema, &[keyword, &index.to_string()])).collect();
        let nodes = nodes?;
        let kinds = |node: &Node| match node {
            Node::Types(types) => types.iter().map(Type::name).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        // Whether a value fits one alone is only plain where no two of them have a type in common.
        let all: Vec<_> = nodes.iter().flat_map(kinds).collect();
        let apart = nodes.iter().all(|node| matches!(node, Node::Types(_)))
            && all.iter().enumerate().all(|(index, kind)| !all.iter().skip(index + 1).any(|it| it == kind))
            && !(all.contains(&"integer") && all.contains(&"number"));
        if keyword == "oneOf" && !apart {
            return Err(self.wrong("oneOf", "of schemas with different types; take anyOf"));
        }
        Ok(Node::AnyOf(nodes))
    }

    fn types(&mut self) -> Read<Node> {
        let named: Vec<&str> = match self.keywords.get("type") {
            None => match self.implied() {
                Some(name) => vec![name],
                None => return self.only(&|_| false).map(|()| Node::Any),
            },
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(_) => Vec::new(),
        };
        if named.is_empty() || !named.iter().all(|name| TYPES.contains(name)) {
            return Err(self.wrong("type", "one of the types of JSON, or a list of them"));
        }
        let mut known = vec!["type"];
        let types: Read<Vec<_>> = named.iter().map(|name| self.one(name, &mut known)).collect();
        let types = types?;
        self.only(&|keyword| known.contains(&keyword))?;
        Ok(Node::Types(types))
    }

    /// The type that a schema without `type` speaks of.
    fn implied(&self) -> Option<&'static str> {
        let has = |keywords: &[&str]| keywords.iter().any(|it| self.keywords.contains_key(*it));
        if has(&["properties", "required", "additionalProperties"]) {
            Some("object")
        } else if has(&["items", "minItems", "maxItems"]) {
            Some("array")
        } else if has(&["minLength", "maxLength", "format"]) {
            Some("string")
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
            Some("number")
        } else {
            None
        }
    }

    fn one(&mut self, name: &str, known: &mut Vec<&'static str>) -> Read<Type> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "integer" | "number" => {
                known.extend(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]);
                if name == "integer" { self.integer()? } else { self.number()? }
            }
            "string" => {
                known.extend(["minLength", "maxLength", "format"]);
                self.string()?
            }
            "array" => {
                known.extend(["items", "minItems", "maxItems"]);
                let least = self.length("minItems", 0)?;
                let most = self.length("maxItems", usize::MAX)?;
                if most < least {
                    return Err(self.nothing("maxItems is below minItems"));
                }
                let items = match self.keywords.get("items") {
                    Some(items) => self.inner(items, &["items"])?,
                    None => Node::Any,
                };
                Type::Array { items: Box::new(items), least, most }
            }
            _ => {
                known.extend(["properties", "required", "additionalProperties"]);
                self.object()?
            }
        })
    }

    fn bound(&self, keyword: &'static str) -> Read<Option<f64>> {
        let Some(value) = self.keywords.get(keyword) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(keyword, "a number"))
    }

    fn integer(&self) -> Read<Type> {
        let above = self.bound("exclusiveMinimum")?.map(|it| whole(it.floor()) + 1);
        let below = self.bound("exclusiveMaximum")?.map(|it| whole(it.ceil()) - 1);
        let least = self.bound("minimum")?.map(|it| whole(it.ceil()));
        let most = self.bound("maximum")?.map(|it| whole(it.floor()));
        let (low, high) = (least.max(above), [most, below].into_iter().flatten().min());
        let none = low.zip(high).is_some_and(|(low, high)| low > high);
        if none {
            Err(self.nothing("no whole number is in its bounds"))
        } else {
            Ok(Type::Integer { low, high })
        }
    }

    fn number(&self) -> Read<Type> {
        let above = self.bound("exclusiveMinimum")?.map(f64::next_up);
        let below = self.bound("exclusiveMaximum")?.map(f64::next_down);
        let low = [self.bound("minimum")?, above].into_iter().flatten().reduce(f64::max);
        let high = [self.bound("maximum")?, below].into_iter().flatten().reduce(f64::min);
        let none = low.zip(high).is_some_and(|(low, high)| low > high);
        if none { Err(self.nothing("no number is in its bounds")) } else { Ok(Type::Number { low, high }) }
    }

    fn string(&self) -> Read<Type> {
        let format = match self.keywords.get("format").map(|it| it.as_str().unwrap_or_default()) {
            None => None,
            Some("date-time") => Some(Format::DateTime),
            Some("date") => Some(Format::Date),
            Some("email") => Some(Format::Email),
            Some("uuid") => Some(Format::Uuid),
            Some("ipv4") => Some(Format::Ipv4),
            Some("uri") => Some(Format::Uri),
            Some(_) => return Err(self.wrong("format", "date-time, date, email, uuid, ipv4 or uri")),
        };
        let bounded = ["minLength", "maxLength"].iter().any(|it| self.keywords.contains_key(*it));
        if format.is_some() && bounded {
            return Err(self.wrong("format", "without minLength and maxLength"));
        }
        let least = self.length("minLength", 0)?;
        let most = self.length("maxLength", usize::MAX)?;
        if most < least {
            return Err(self.nothing("maxLength is below minLength"));
        }
        Ok(Type::String { least, most, format })
    }

    fn object(&mut self) -> Read<Type> {
        let others = match self.keywords.get("additionalProperties") {
            None | Some(Value::Bool(true)) => true,
            Some(Value::Bool(false)) => false,
            Some(_) => return Err(self.wrong("additionalProperties", "true or false")),
        };
        let required: Vec<&str> = match self.keywords.get("required") {
            None => Vec::new(),
            Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
                names.iter().filter_map(Value::as_str).collect()
            }
            Some(_) => return Err(self.wrong("required", "a list of names")),
        };
        let empty = Map::new();
        let properties = match self.keywords.get("properties") {
            None => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(self.wrong("properties", "an object of schemas")),
        };
        let mut members = Vec::new();
        for (name, schema) in properties {
            let node = self.inner(schema, &["properties", name])?;
            members.push(Member { name: name.clone(), required: required.contains(&name.as_str()), node });
        }
        for name in required {
            if !properties.contains_key(name) {
                if !others {
                    return Err(self.nothing("a required member is not among the properties"));
                }
                let node = Node::Any;
                members.push(Member { name: name.to_owned(), required: true, node });
            }
        }
        Ok(Type::Object { members, others })
    }

    fn length(&self, keyword: &'static str, default: usize) -> Read<usize> {
        let Some(value) = self.keywords.get(keyword) else { return Ok(default) };
        let wrong = || self.wrong(keyword, "a whole number from 0");
        let length = value.as_u64().and_then(|it| usize::try_from(it).ok()).ok_or_else(wrong)?;
        if keyword.starts_with("min") && length > MAX_SCHEMA_LENGTH {
            return Err(self.wrong(keyword, "at most 1024"));
        }
        Ok(length)
    }
}

impl Node {
    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Values(values) => values.iter().any(|it| same(it, value)),
            Self::AnyOf(nodes) => nodes.iter().any(|node| node.fits(value)),
            Self::Types(types) => types.iter().any(|it| it.fits(value)),
        }
    }

    fn draw(&self, random: &mut Random) -> Value {
        match self {
            Self::Any => match random.below(3) {
                0 => Value::Null,
                1 => Value::Bool(true),
                _ => random.between(0, 1_000).into(),
            },
            Self::Values(values) => values.get(random.below(values.len())).cloned().unwrap_or_default(),
            Self::AnyOf(nodes) => {
                nodes.get(random.below(nodes.len())).map(|it| it.draw(random)).unwrap_or_default()
            }
            Self::Types(types) => {
                types.get(random.below(types.len())).map(|it| it.draw(random)).unwrap_or_default()
            }
        }
    }
}

impl Type {
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer { .. } => "integer",
            Self::Number { .. } => "number",
            Self::String { .. } => "string",
            Self::Array { .. } => "array",
            Self::Object { .. } => "object",
        }
    }

    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) | (Self::Boolean, Value::Bool(_)) => true,
            (Self::Integer { low, high }, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                number.fract() == 0.0
                    && low.is_none_or(|low| number >= low as f64)
                    && high.is_none_or(|high| number <= high as f64)
            }
            (Self::Number { low, high }, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                low.is_none_or(|low| number >= low) && high.is_none_or(|high| number <= high)
            }
            (Self::String { least, most, format }, Value::String(text)) => match format {
                Some(format) => format.fits(text),
                None => (*least..=*most).contains(&text.chars().count()),
            },
            (Self::Array { items, least, most }, Value::Array(list)) => {
                (*least..=*most).contains(&list.len()) && list.iter().all(|it| items.fits(it))
            }
            (Self::Object { members, others }, Value::Object(object)) => {
                let known = |name: &String| members.iter().any(|member| member.name == *name);
                (*others || object.keys().all(known))
                    && members.iter().all(|member| match object.get(&member.name) {
                        Some(value) => member.node.fits(value),
                        None => !member.required,
                    })
            }
            _ => false,
        }
    }

    fn draw(&self, random: &mut Random) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean => Value::Bool(random.below(2) == 1),
            Self::Integer { low, high } => {
                let low = low.unwrap_or_else(|| high.map_or(0, |high| high - 1_000));
                random.between(low, high.unwrap_or_else(|| low.saturating_add(1_000))).into()
            }
            Self::Number { low, high } => {
                let low = &low.unwrap_or_else(|| high.map_or(0.0, |high| high - 1_000.0));
                let high = &high.unwrap_or(low + 1_000.0);
                let drawn = low + (high - low) * random.fraction();
                // To the hundredth, where that is within the bounds.
                let rounded = (drawn * 100.0).round() / 100.0;
                let inside = |it: &f64| (*low..=*high).contains(it);
                [rounded, drawn].into_iter().find(inside).unwrap_or(*low).into()
            }
            Self::String { format: Some(format), .. } => Value::String(format.draw(random)),
            Self::String { least, most, .. } => {
                let length = between(random, *least, *most, USUAL_CHARACTERS);
                Value::String((0..length).map(|_| char::from(b'a' + digit(random, 26))).collect())
            }
            Self::Array { items, least, most } => {
                let length = between(random, *least, *most, USUAL_ELEMENTS);
                (0..length).map(|_| items.draw(random)).collect()
            }
            Self::Object { members, .. } => {
                let mut object = Map::new();
                for member in members {
                    // Three of four times what may be left out is there.
                    if member.required || random.below(4) > 0 {
                        object.insert(member.name.clone(), member.node.draw(random));
                    }
                }
                Value::Object(object)
            }
        }
    }
}

impl Format {
    fn draw(self, random: &mut Random) -> String {
        let hex = |random: &mut Random, count: usize| -> String {
            (0..count).map(|_| char::from_digit(u32::from(digit(random, 16)), 16).unwrap_or('0')).collect()
        };
        // Between 2020 and 2030.
        let moment = |random: &mut Random| rfc3339(random.between(1_577_836_800_000, 1_893_456_000_000));
        match self {
            Self::DateTime => moment(random),
            Self::Date => moment(random).chars().take(10).collect(),
            Self::Email => format!("user{}@example.com", random.below(1_000)),
            Self::Uuid => {
                let parts = [8, 4, 3, 3, 12].map(|count| hex(random, count));
                let [a, b, c, d, e] = parts;
                format!("{a}-{b}-4{c}-8{d}-{e}")
            }
            Self::Ipv4 => format!("192.0.2.{}", random.below(256)),
            Self::Uri => format!("https://example.com/{}", hex(random, 8)),
        }
    }

    /// Whether a text has the outer form; no more is promised of formats.
    fn fits(self, text: &str) -> bool {
        let shape = |pattern: &str| {
            text.len() == pattern.len()
                && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    b'x' => byte.is_ascii_hexdigit(),
                    _ => byte == wanted,
                })
        };
        match self {
            Self::DateTime => {
                let zoned =
                    text.ends_with(['Z', 'z']) || text.get(19..).is_some_and(|it| it.contains(['+', '-']));
                zoned && text.get(..19).is_some_and(Self::is_moment)
            }
            Self::Date => shape("0000-00-00"),
            Self::Email => {
                text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
            }
            Self::Uuid => shape("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
            Self::Ipv4 => text.parse::<std::net::Ipv4Addr>().is_ok(),
            Self::Uri => text.split_once(':').is_some_and(|(scheme, rest)| {
                !rest.is_empty() && scheme.starts_with(|it: char| it.is_ascii_alphabetic())
            }),
        }
    }

    fn is_moment(text: &str) -> bool {
        text.bytes().zip("0000-00-00T00:00:00".bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            _ => byte.eq_ignore_ascii_case(&wanted),
        })
    }
}

/// A whole number, no further from 0 than every reader of JSON takes.
#[allow(clippy::cast_possible_truncation, reason = "it is whole and within the range of the type")]
fn whole(number: f64) -> i64 {
    number.clamp(-(SAFE as f64), SAFE as f64) as i64
}

/// From `least` to `most`, but no more than `usual` above the former.
fn between(random: &mut Random, least: usize, most: usize, usual: usize) -> usize {
    least + random.below(most.min(least.saturating_add(usual)) - least + 1)
}

fn digit(random: &mut Random, count: usize) -> u8 {
    u8::try_from(random.below(count)).unwrap_or_default()
}

/// Equal as JSON Schema has it: `1` and `1.0` are one number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
