//! Where an array element without an identity is, once others have come, gone and moved since its index was noted.

use rejoin_json::{Array, Json, Limits, Operation, Patch, PlacePath, Pointer, Step, apply};

/// Whether a place means something only beside the content that it was noted in.
pub(crate) fn has_index(place: &PlacePath) -> bool {
    place.steps().iter().any(|step| matches!(step, Step::Index(_)))
}

/// A place with an index in it, which is taken along as its content changes.
pub(crate) struct Followed {
    /// Down to the last element that is known by its index: keys and indexes only, as the paths of operations have them.
    element: Vec<Step>,
    /// From there on. It finds itself.
    below: Vec<Step>,
    content: Json,
    limits: Limits,
}

/// How an operation's path meets the way to the element.
enum Meeting {
    /// It leads to the element or to what holds it: so many steps down.
    Holds(usize),
    /// It leads to another element of an array on the way, which stands at the step `depth`.
    Beside { depth: usize, index: usize },
    /// What it leads to moves nothing on the way.
    Apart,
}

impl Followed {
    /// Takes up a place in the content that it was noted in; `None` where there is no such element.
    pub(crate) fn of(place: &PlacePath, content: Json, limits: &Limits) -> Option<Self> {
        let steps = place.steps();
        let last = steps.iter().rposition(|step| matches!(step, Step::Index(_)))?;
        let (element, below) = steps.split_at(last + 1);
        let pointer = PlacePath::from(element.to_vec()).resolve(&content)?;
        let element = element.iter().zip(pointer.tokens()).map(|(step, token)| match step {
            Step::Key(_) => Some(step.clone()),
            Step::Id { .. } | Step::Index(_) => Some(Step::Index(token.encoded().parse().ok()?)),
        });
        // The patches applied when they were made. What bounded each of them as a whole does not bound its parts.
        let limits = Limits {
            max_operations: usize::MAX,
            max_copied_bytes: usize::MAX,
            max_spliced_bytes: u64::MAX,
            max_document_bytes: usize::MAX,
            ..*limits
        };
        Some(Self { element: element.collect::<Option<_>>()?, below: below.to_vec(), content, limits })
    }

    /// The place in the content as it is now.
    pub(crate) fn into_place(self) -> PlacePath {
        self.element.into_iter().chain(self.below).collect()
    }

    /// Goes on by a patch; `None` where the element is gone.
    pub(crate) fn patched(&mut self, patch: &Patch) -> Option<()> {
        patch.iter().try_for_each(|operation| self.operation(operation))
    }

    /// Goes on to a content that takes the place of the whole one; `None` where nothing says which of its elements this is.
    pub(crate) fn replaced_by(&mut self, content: &Json) -> Option<()> {
        into_replaced(&mut self.element, &self.content, content)?;
        self.content = content.clone();
        Some(())
    }

    fn operation(&mut self, operation: &Operation) -> Option<()> {
        match operation {
            Operation::Add { path, value } => self.added(path, value)?,
            Operation::Remove { path } => self.removed(path)?,
            Operation::Replace { path, value } => {
                if let Meeting::Holds(depth) = self.meets(path) {
                    self.replaced(depth, path, value)?;
                }
            }
            Operation::Copy { from, path } => {
                let copy = self.content.pointer(from)?.clone();
                self.added(path, &copy)?;
            }
            Operation::Move { from, path } => return self.moved(from, path),
            Operation::Test { .. } | Operation::Splice { .. } => {}
        }
        self.apply(operation.clone())
    }

    fn added(&mut self, path: &Pointer, value: &Json) -> Option<()> {
        match self.meets(path) {
            Meeting::Holds(depth) => match depth.checked_sub(1).and_then(|last| self.element.get_mut(last)) {
                Some(Step::Index(own)) => *own += 1,
                _ => self.replaced(depth, path, value)?,
            },
            Meeting::Beside { depth, index } => self.shift(depth, index, 1),
            Meeting::Apart => {}
        }
        Some(())
    }

    fn removed(&mut self, path: &Pointer) -> Option<()> {
        match self.meets(path) {
            Meeting::Holds(_) => return None,
            Meeting::Beside { depth, index } => self.shift(depth, index, -1),
            Meeting::Apart => {}
        }
        Some(())
    }

    /// Another element of the array at `depth` came or went at `index`.
    fn shift(&mut self, depth: usize, index: usize, by: isize) {
        if let Some(Step::Index(own)) = self.element.get_mut(depth)
            && *own > index
        {
            *own = own.saturating_add_signed(by);
        }
    }

    fn replaced(&mut self, depth: usize, path: &Pointer, value: &Json) -> Option<()> {
        let before = self.content.pointer(path)?;
        into_replaced(self.element.get_mut(depth..)?, before, value)
    }

    fn moved(&mut self, from: &Pointer, path: &Pointer) -> Option<()> {
        let value = self.content.pointer(from)?.clone();
        let remove = Operation::Remove { path: from.to_buf() };
        if let Meeting::Holds(depth) = self.meets(from) {
            self.apply(remove)?;
            let mut element = self.steps_to(path)?;
            element.extend_from_slice(self.element.get(depth..)?);
            self.element = element;
        } else {
            self.removed(from)?;
            self.apply(remove)?;
            self.added(path, &value)?;
        }
        self.apply(Operation::Add { path: path.to_buf(), value })
    }

    /// The steps to where something is about to be added.
    fn steps_to(&self, path: &Pointer) -> Option<Vec<Step>> {
        let mut container = Some(&self.content);
        let step = |token: jsonptr::Token<'_>| {
            let holder = container?;
            let step = match holder.as_array() {
                Some(array) if token.encoded() == "-" => Step::Index(array.len()),
                Some(_) => Step::Index(token.encoded().parse().ok()?),
                None => Step::Key(token.decoded().into()),
            };
            container = match &step {
                Step::Index(index) => holder.as_array().and_then(|array| array.get(*index)),
                Step::Key(key) => holder.get(key),
                Step::Id { .. } => None,
            };
            Some(step)
        };
        path.tokens().map(step).collect()
    }

    fn apply(&mut self, operation: Operation) -> Option<()> {
        apply(&mut self.content, &Patch(vec![operation]), &self.limits).ok()
    }

    fn meets(&self, path: &Pointer) -> Meeting {
        let mut tokens = path.tokens().peekable();
        let mut depth = 0;
        while let Some(token) = tokens.next() {
            let index = token.encoded().parse().ok();
            match self.element.get(depth) {
                Some(Step::Key(key)) if token.decoded() == **key => {}
                Some(Step::Index(own)) if index == Some(*own) => {}
                Some(Step::Index(_)) if tokens.peek().is_none() => {
                    return index.map_or(Meeting::Apart, |index| Meeting::Beside { depth, index });
                }
                _ => return Meeting::Apart,
            }
            depth += 1;
        }
        Meeting::Holds(depth)
    }
}

/// Follows steps from a value to the one that takes its place; `None` where nothing says which of its elements they lead to.
fn into_replaced(steps: &mut [Step], before: &Json, after: &Json) -> Option<()> {
    let (mut before, mut after) = (before, after);
    for step in steps {
        match step {
            Step::Key(key) => (before, after) = (before.get(key)?, after.get(key)?),
            Step::Index(index) => {
                let (old, new) = (before.as_array()?, after.as_array()?);
                let now = index_after(old, new, *index)?;
                (before, after) = (old.get(*index)?, new.get(now)?);
                *index = now;
            }
            Step::Id { .. } => return None,
        }
    }
    Some(())
}

/// The index of an element in the array that takes the place of its own: a small one is replaced whole, as that makes the shorter patch.
///
/// Where there are as many as before, one has stayed that is the same, or that alone is not. Else what is the same at either end has, unless
/// it could as well be its neighbour, which is equal, that has.
fn index_after(old: &Array, new: &Array, index: usize) -> Option<usize> {
    if old.len() == new.len() {
        let is_same = |at: &usize| old.get(*at) == new.get(*at);
        let stays = is_same(&index) || (0..old.len()).filter(|at| *at != index).all(|at| is_same(&at));
        return stays.then_some(index);
    }
    let shorter = old.len().min(new.len());
    let prefix = (0..shorter).take_while(|at| old.get(*at) == new.get(*at)).count();
    let suffix = (1..=shorter).take_while(|at| from_end(old, *at) == from_end(new, *at)).count();
    let behind = old.len().checked_sub(index)?;
    if index < prefix && index + suffix < shorter {
        Some(index)
    } else if behind <= suffix && behind + prefix <= shorter {
        Some(new.len() - behind)
    } else {
        None
    }
}

fn from_end(array: &Array, at: usize) -> Option<&Json> {
    array.get(array.len().checked_sub(at)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn json(text: &str) -> Json {
        Json::parse(text, &Limits::default()).unwrap()
    }

    /// A place in its JSON form.
    fn place(text: &str) -> PlacePath {
        let step = |step: &Json| match step {
            Json::String(key) => Step::Key(key.as_str().into()),
            Json::Object(identity) => {
                let (member, value) = identity.iter().next().unwrap();
                Step::Id { member: member.clone(), value: value.clone() }
            }
            index => Step::Index(usize::try_from(index.as_i64().unwrap()).unwrap()),
        };
        json(text).as_array().unwrap().iter().map(step).collect()
    }

    /// Where a place is after a patch, and `gone` where it is not.
    fn after(content: &str, at: &str, patch: &str) -> String {
        let limits = Limits::default();
        let mut followed = Followed::of(&place(at), json(content), &limits).unwrap();
        match followed.patched(&Patch::parse(patch, &limits).unwrap()) {
            Some(()) => followed.into_place().to_string(),
            None => "gone".to_owned(),
        }
    }

    #[test]
    fn others_that_come_go_and_move_shift_an_element() {
        let list = r#"{"l":["a","b","c","d"],"1":[],"o":{"1":0}}"#;
        for (patch, now) in [
            (r#"{"op":"add","path":"/l/0","value":0}"#, 3),
            (r#"{"op":"add","path":"/l/2","value":0}"#, 3),
            (r#"{"op":"add","path":"/l/3","value":0}"#, 2),
            (r#"{"op":"add","path":"/l/-","value":0}"#, 2),
            (r#"{"op":"remove","path":"/l/1"}"#, 1),
            (r#"{"op":"remove","path":"/l/3"}"#, 2),
            (r#"{"op":"replace","path":"/l/2","value":{"n":1}}"#, 2),
            (r#"{"op":"replace","path":"/l/1","value":"c"}"#, 2),
            (r#"{"op":"move","from":"/l/0","path":"/l/3"}"#, 1),
            (r#"{"op":"move","from":"/l/3","path":"/l/0"}"#, 3),
            (r#"{"op":"move","from":"/l/2","path":"/l/0"}"#, 0),
            (r#"{"op":"move","from":"/l/2","path":"/l/-"}"#, 3),
            (r#"{"op":"move","from":"/l/0","path":"/1/-"}"#, 1),
            (r#"{"op":"copy","from":"/l/2","path":"/l/0"}"#, 3),
            (r#"{"op":"copy","from":"/o","path":"/l/-"}"#, 2),
            (r#"{"op":"remove","path":"/o/1"}"#, 2),
            (r#"{"op":"remove","path":"/1"}"#, 2),
            (r#"{"op":"splice","path":"/l/1","at":0,"remove":1,"insert":"x"}"#, 2),
            (r#"{"op":"test","path":"/l/2","value":"c"}"#, 2),
            (r#"{"op":"add","path":"/l","value":["a","b","c","d"]}"#, 2),
        ] {
            assert_eq!(after(list, r#"["l",2]"#, &format!("[{patch}]")), format!("/l/{now}"), "{patch}");
        }
    }

    #[test]
    fn an_element_is_followed_to_another_container_and_goes_with_its_own() {
        let content = r#"{"rows":[{"id":"x","l":["a"]},{"id":"y","l":["b","c"]}],"o":{}}"#;
        let at = r#"["rows",{"id":"y"},"l",1,"t"]"#;
        for (patch, now) in [
            (r#"{"op":"move","from":"/rows/1/l/1","path":"/rows/0/l/0"}"#, "/rows/0/l/0/t"),
            (r#"{"op":"move","from":"/rows/1","path":"/rows/0"}"#, "/rows/0/l/1/t"),
            (r#"{"op":"move","from":"/rows/1/l","path":"/o/1"}"#, "/o/1/1/t"),
            (r#"{"op":"move","from":"/rows/1/l/1","path":"/o/k"}"#, "/o/k/t"),
            (r#"{"op":"remove","path":"/rows/0"}"#, "/rows/0/l/1/t"),
            (r#"{"op":"remove","path":"/rows/1"}"#, "gone"),
            (r#"{"op":"remove","path":"/rows/1/l/1"}"#, "gone"),
            (r#"{"op":"add","path":"/rows","value":[]}"#, "gone"),
            (r#"{"op":"move","from":"/rows/0","path":"/rows/1/l"}"#, "gone"),
            (r#"{"op":"replace","path":"/rows/1","value":{"l":["b","c"]}}"#, "/rows/1/l/1/t"),
            (r#"{"op":"replace","path":"/rows/1","value":{"l":"b"}}"#, "gone"),
            (r#"{"op":"replace","path":"","value":null}"#, "gone"),
        ] {
            assert_eq!(after(content, at, &format!("[{patch}]")), now, "{patch}");
        }
    }

    #[test]
    fn in_an_array_that_is_replaced_what_is_equal_at_both_ends_has_stayed() {
        for (old, index, new, now) in [
            ("[1,2,3]", 1, "[1,2,3,4]", Some(1)),
            ("[1,2,3]", 1, "[0,1,2,3]", Some(2)),
            ("[1,2,3]", 2, "[3]", Some(0)),
            ("[1,2,3]", 1, "[1,3]", None),
            ("[1,2,3]", 1, "[1,9,3]", Some(1)),
            ("[1,2,3]", 1, "[8,2,9]", Some(1)),
            ("[1,2,3]", 1, "[8,9,3]", None),
            ("[1,2,3]", 1, "[1,8,9,3]", None),
            ("[1,2,2]", 2, "[1,2]", None),
            ("[1,2,2]", 1, "[1,2]", None),
            ("[1,2,2]", 0, "[1,2]", Some(0)),
            ("[1,2,2]", 2, "[1,2,2]", Some(2)),
            ("[1,2]", 1, "[1,2,2]", None),
            ("[7]", 0, "[]", None),
        ] {
            let [before, after] = [old, new].map(|text| json(text).as_array().unwrap().clone());
            assert_eq!(index_after(&before, &after, index), now, "{index} of {old} in {new}");
        }
    }
}
