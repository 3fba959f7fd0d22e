//! sigtar
