//! The files of a statement, held against the programs that read such files.

mod pdf;
mod sample;
mod tables;
