//! What is signed, checked by hickory's verifier and by validators of other makes.

mod answers;
mod cache;
mod delv;
mod files;
mod property;
mod rollover;
mod server;
mod sizes;
mod speed;
mod validators;
mod world;
