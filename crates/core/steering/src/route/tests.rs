mod alternatives;
mod families;
mod law;
mod oracles;
mod world;
