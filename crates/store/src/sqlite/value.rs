//! How values stand in columns.

use bytes::Bytes;
use rejoin_wire::{ChainHash, DocumentId, ReplicaId, UnixMillis};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A revision, feed number, counter or record number: an integer that orders as it does. Numbers beyond the
/// largest, which only bounds of a search can be, stand for the largest.
pub(super) struct Position(pub(super) u64);

impl ToSql for Position {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Position {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

/// A time: all 64 bits, since none is ever searched for, and an author's clock can say anything.
pub(super) struct Time(pub(super) UnixMillis);

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.0.cast_signed().into())
    }
}

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(UnixMillis(value.as_i64()?.cast_unsigned())))
    }
}

/// A replica: 16 bytes, most significant first, which order as the number does.
pub(super) struct Replica([u8; 16]);

impl Replica {
    pub(super) fn new(id: ReplicaId) -> Self {
        Self(id.0.to_be_bytes())
    }

    pub(super) fn id(&self) -> ReplicaId {
        ReplicaId(u128::from_be_bytes(self.0))
    }
}

impl ToSql for Replica {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

impl FromSql for Replica {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        bytes.try_into().map(Self).map_err(|_| FromSqlError::InvalidBlobSize {
            expected_size: size_of::<Self>(),
            blob_size: bytes.len(),
        })
    }
}

/// A chain hash: 32 bytes; nothing stands for the zero hash, of which nothing is known.
pub(super) struct Chain(pub(super) ChainHash);

impl ToSql for Chain {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.0.as_slice().into())
    }
}

impl FromSql for Chain {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let Some(bytes) = value.as_blob_or_null()? else { return Ok(Self(ChainHash::default())) };
        let hash = bytes.try_into().map_err(|_| FromSqlError::InvalidBlobSize {
            expected_size: size_of::<ChainHash>(),
            blob_size: bytes.len(),
        })?;
        Ok(Self(ChainHash(hash)))
    }
}

/// A document's id, as text.
pub(super) struct Document(pub(super) DocumentId);

impl FromSql for Document {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        DocumentId::new(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// A body, copied once.
pub(super) struct Body(pub(super) Bytes);

impl FromSql for Body {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(Bytes::copy_from_slice(value.as_blob()?)))
    }
}
