-- The chain hash at the newest revision: with it, what somebody else holds of a document proves itself when rows cannot be read. Null where
-- a head was written before there was this column.

ALTER TABLE document ADD COLUMN chain BLOB;
