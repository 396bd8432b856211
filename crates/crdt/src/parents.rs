//! In which type each element stands, and how deep that is. yrs recurses where types are deleted, collected and shown, so that how deep they may
//! stand is known before an update is applied, however many updates it took to get there.

use std::collections::BTreeMap;

use crate::structure::{Id, Kind, Structure};
use crate::update::MAX_DEPTH;

/// A type by its number; 0 stands for all that have a name of their own.
type TypeNumber = u32;

/// A type would stand too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// Where elements stand.
#[derive(Debug, Default)]
pub(crate) struct Parents {
    /// By client: from a clock on until the next entry, the type in which elements stand.
    runs: BTreeMap<u64, Vec<(u32, TypeNumber)>>,
    /// How deep each type stands, after that of those with names.
    depths: Vec<u8>,
    /// The types that elements are.
    numbers: BTreeMap<Id, TypeNumber>,
}

impl Parents {
    /// Notes an element, after all that it refers to.
    pub(crate) fn note(&mut self, id: Id, structure: &Structure) -> Result<(), TooDeep> {
        let [origin, right, parent] = structure.refers;
        let stands_in = match (origin.or(right), parent) {
            (Some(beside), _) => self.parent_of(beside),
            // Of what is no type any more nothing is left, and nothing stands in it.
            (None, Some(parent)) => self.numbers.get(&parent).copied().unwrap_or(0),
            (None, None) => 0,
        };
        let runs = self.runs.entry(id.client).or_default();
        if runs.last().is_none_or(|(_, last)| *last != stands_in) {
            runs.push((id.clock, stands_in));
        }
        if structure.kind == Kind::Type {
            let depth = self.depth(stands_in) + 1;
            if usize::from(depth) > MAX_DEPTH {
                return Err(TooDeep);
            }
            self.depths.push(depth);
            let number = TypeNumber::try_from(self.depths.len()).unwrap_or(TypeNumber::MAX);
            self.numbers.insert(id, number);
        }
        Ok(())
    }

    fn depth(&self, number: TypeNumber) -> u8 {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        at.and_then(|at| self.depths.get(at)).copied().unwrap_or(0)
    }

    fn parent_of(&self, id: Id) -> TypeNumber {
        let Some(runs) = self.runs.get(&id.client) else { return 0 };
        let at = runs.partition_point(|(from, _)| *from <= id.clock);
        at.checked_sub(1).and_then(|at| runs.get(at)).map_or(0, |(_, number)| *number)
    }

    /// Where it is, to come back to.
    pub(crate) fn mark(&self) -> usize {
        self.depths.len()
    }

    /// Forgets what was noted since a mark: of these clients what lies at or after these clocks.
    pub(crate) fn forget_since(&mut self, mark: usize, clocks: impl Iterator<Item = Id>) {
        self.depths.truncate(mark);
        self.numbers.retain(|_, number| usize::try_from(*number).is_ok_and(|number| number <= mark));
        for from in clocks {
            if let Some(runs) = self.runs.get_mut(&from.client) {
                runs.truncate(runs.partition_point(|(clock, _)| *clock < from.clock));
            }
        }
    }
}
