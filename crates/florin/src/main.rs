//! The program: command line, configuration, adapters. The only place that names engines and reads the environment.

mod adapters;
mod cli;
mod config;
mod failure;
mod output;

fn main() {}
