//! The codec: what is written is read back, what is damaged is an error, and the format stays what it is.

mod any;
mod damage;
mod golden;
mod identity;
mod sagas;
mod sample;
mod size;
