//! What the bank promises to those who use it, claim by claim, over stores in memory.

mod events;
mod histories;
mod interest;
mod jobs;
mod journal;
mod kept_statements;
mod keys;
mod leases;
mod moving;
mod notifications;
mod old_maps;
mod operators;
mod ports;
mod profiles;
mod reads;
mod real_year;
mod records;
mod redriving;
mod restored;
mod standing_orders;
mod statements;
mod submitting;
mod telling;
mod timers;
mod tokens;
mod world;
