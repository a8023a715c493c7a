//! What the bank promises to those who use it, claim by claim, over stores in memory.

mod events;
mod histories;
mod interest;
mod journal;
mod kept_statements;
mod keys;
mod leases;
mod moving;
mod old_maps;
mod operators;
mod ports;
mod profiles;
mod reads;
mod records;
mod redriving;
mod restored;
mod statements;
mod submitting;
mod telling;
mod timers;
mod tokens;
mod world;
