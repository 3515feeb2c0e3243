//! What is signed, checked by hickory's verifier and by validators of other makes.

mod answers;
mod cache;
mod files;
mod property;
mod server;
mod speed;
mod validators;
mod world;
