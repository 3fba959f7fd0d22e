//! difftar
