//! Pure JSON functions.
