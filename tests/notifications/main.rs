//! Messages to customers and other systems, with servers that speak what providers speak: they take, refuse, delay, hang up
//! and say nothing. What is signed or encrypted is judged by what others wrote for those who receive it.

#[path = "../support/mod.rs"]
mod support;

mod between_shards;
mod choices;
mod crash;
mod desk;
mod mail;
mod nodes;
mod oracle;
mod push;
mod sms;
mod webhooks;
mod world;
