//! Implements [`Wire`](super::Wire) for types that are the sum of their parts, so that writing and reading cannot differ.

/// Implements [`Wire`] for structs: their fields in order. A list has its limit in brackets; `+ extension` stands for an
/// extension block at the end.
macro_rules! wire_structs {
    ($($name:ident { $($field:ident $([$limit:expr])?),* } $(+ $extension:ident)?;)*) => {$(
        impl $crate::binary::Wire for $name {
            fn write(&self, out: &mut $crate::binary::Writer) {
                $($crate::binary::derive::write_field!(out, &self.$field $(, $limit)?);)*
                $(out.$extension();)?
            }

            fn read(input: &mut $crate::binary::Reader<'_>) -> Self {
                $(let $field = $crate::binary::derive::read_field!(input, $field $(, $limit)?);)*
                $(input.$extension();)?
                Self { $($field),* }
            }
        }
    )*};
}

macro_rules! write_field {
    ($out:ident, $value:expr, $limit:expr) => {
        $out.list($value)
    };
    ($out:ident, $value:expr) => {
        $crate::binary::Wire::write($value, $out)
    };
}

macro_rules! read_field {
    ($input:ident, $field:ident, $limit:expr) => {
        $input.list(concat!("the list `", stringify!($field), "`"), $limit)
    };
    ($input:ident, $field:ident) => {
        $crate::binary::Wire::read($input)
    };
}

/// Implements [`Wire`] for enums without fields: the number of the form. One has the number 0, which is read once reading has failed.
macro_rules! wire_choices {
    ($($name:ident $what:literal { $($variant:ident = $tag:literal),* $(,)? })*) => {$(
        const _: () = assert!(false $(|| $tag == 0)*, "without the number 0, reading would not end once it has failed");
        impl $crate::binary::Wire for $name {
            fn write(&self, out: &mut $crate::binary::Writer) {
                out.byte(match self { $(Self::$variant => $tag,)* });
            }

            fn read(input: &mut $crate::binary::Reader<'_>) -> Self {
                let start = input.offset();
                match input.varint() {
                    $($tag => Self::$variant,)*
                    tag => {
                        let kind = $crate::error::DecodeErrorKind::UnknownTag { what: $what, tag };
                        input.fail_at(start, kind);
                        Self::read(input)
                    }
                }
            }
        }
    )*};
}

/// Implements [`Wire`] for enums with named fields: the number of the form, then its fields in order. One has the number 0, which is read
/// once reading has failed.
macro_rules! wire_enums {
    ($($name:ident $what:literal {
        $($variant:ident $({ $($field:ident $([$limit:expr])?),* })? = $tag:literal),* $(,)?
    })*) => {$(
        const _: () = assert!(false $(|| $tag == 0)*, "without the number 0, reading would not end once it has failed");
        impl $crate::binary::Wire for $name {
            fn write(&self, out: &mut $crate::binary::Writer) {
                match self {
                    $(Self::$variant $({ $($field),* })? => {
                        out.byte($tag);
                        $($($crate::binary::derive::write_field!(out, $field $(, $limit)?);)*)?
                    })*
                }
            }

            fn read(input: &mut $crate::binary::Reader<'_>) -> Self {
                let start = input.offset();
                match input.varint() {
                    $($tag => {
                        $($(let $field = $crate::binary::derive::read_field!(input, $field $(, $limit)?);)*)?
                        Self::$variant $({ $($field),* })?
                    })*
                    tag => {
                        let kind = $crate::error::DecodeErrorKind::UnknownTag { what: $what, tag };
                        input.fail_at(start, kind);
                        Self::read(input)
                    }
                }
            }
        }
    )*};
}

pub(crate) use {read_field, wire_choices, wire_enums, wire_structs, write_field};
