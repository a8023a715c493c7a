//! libFuzzer's way into [`surface`].

#![no_main]

#[path = "../surfaces/parcel.rs"]
mod surface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| surface::exercise(data));
