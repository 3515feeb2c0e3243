//! Prints how long the shipped data take to load and what they occupy: `cargo run --release -p perigee --example geo_load_time`.
#![expect(clippy::print_stdout, reason = "a measurement for people")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};

fn main() -> Result<(), Box<dyn Error>> {
    memory("before")?;
    let start = Instant::now();
    let database = Arc::new(Database::load(shipped::CITY)?);
    println!("Database::load   {:?}", start.elapsed());
    let (ipv4, ipv6) = database.range_counts();
    println!("  {} places, {ipv4} IPv4 ranges, {ipv6} IPv6 ranges", database.place_count());
    memory("loaded")?;

    let start = Instant::now();
    let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES)?;
    let overlay = Overlay::parse(shipped::OVERLAY)?;
    println!("tables           {:?}", start.elapsed());
    let all: Vec<_> = tables.regions().iter().map(|r| (r.code.clone(), r.location)).collect();
    let two: Vec<_> =
        all.iter().filter(|(c, _)| ["ap-northeast-1", "ap-northeast-2"].contains(&c.as_str())).cloned().collect();
    for regions in [two, all] {
        let start = Instant::now();
        let atlas = Atlas::build(&database, &tables, &overlay, &regions, "Seoul")?;
        println!("Atlas::build     {:?} for {} regions", start.elapsed(), regions.len());
        let start = Instant::now();
        let mut sum = 0;
        for i in 0..1_000_000_u32 {
            let ip = std::net::Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761)).into();
            let located = atlas.locate(ip);
            sum += atlas.order(located.place_index)[0].region.0 + usize::from(atlas.scope(ip, 32));
        }
        println!("locate and scope {:?} each (checksum {sum})", start.elapsed() / 1_000_000);
        memory("built")?;
    }
    Ok(())
}

/// The process's memory, where the system tells (Linux).
fn memory(when: &str) -> Result<(), Box<dyn Error>> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(()) };
    for line in status.lines().filter(|l| ["VmRSS", "RssAnon", "RssFile", "VmHWM"].iter().any(|k| l.starts_with(k))) {
        println!("  {when}: {line}");
    }
    Ok(())
}
