/// Deepest nesting that any [`Json`](crate::Json) from outside may have, whatever the [`Limits`] say.
///
/// Reading, writing, comparing and dropping a tree recurse once per level; 128 levels stay far below the smallest stack
/// that the engine runs on (1 MiB in a browser).
pub const MAX_DEPTH: usize = 128;

/// Bounds on what one document and one patch may cost.
///
/// Each bound is checked before the memory it stands for is taken, except for the size of a patched document, which is
/// checked on the result and undone: what a patch can add before that is bounded by its own text and by
/// [`max_copied_bytes`](Self::max_copied_bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most operations in one patch. A patch is applied in one turn of the engine, which must stay short.
    pub max_operations: usize,
    /// Deepest nesting of a document; a scalar has depth 0, `[]` has depth 1. Values above [`MAX_DEPTH`] count as that.
    pub max_depth: usize,
    /// Most bytes, in canonical form, that the `copy` operations of one patch may copy in sum. Without it forty
    /// operations double a document to a terabyte.
    pub max_copied_bytes: usize,
    /// Most bytes that the `splice` operations of one patch may write in sum: each writes its whole string anew.
    pub max_spliced_bytes: u64,
    /// Largest document in bytes of its canonical form.
    pub max_document_bytes: usize,
    /// Longest text that is parsed at all, in bytes. Larger than a document, as text may be indented and escaped.
    pub max_text_bytes: usize,
    /// Whether the patches that a merge finds look for elements of arrays in other places, or compare them place by place: see
    /// [`DiffOptions::align_arrays`](crate::DiffOptions::align_arrays).
    pub align_arrays: bool,
}

impl Limits {
    /// The effective bound on nesting: [`max_depth`](Self::max_depth), at most [`MAX_DEPTH`].
    pub fn depth(&self) -> usize {
        self.max_depth.min(MAX_DEPTH)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_operations: 10_000,
            max_depth: 64,
            max_copied_bytes: 16 << 20,
            max_spliced_bytes: 1 << 30,
            max_document_bytes: 8 << 20,
            max_text_bytes: 32 << 20,
            align_arrays: true,
        }
    }
}
