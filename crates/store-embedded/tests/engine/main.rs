//! The engine on real files: what it promises over restarts, crashes, faults of the disk and damage.

mod bank;
mod conformance;
mod crash;
mod damage;
mod faults;
mod indexes;
mod poison;
