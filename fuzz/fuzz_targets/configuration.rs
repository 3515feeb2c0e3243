//! Configuration texts: any text is accepted or refused, never a panic; what is accepted refers only to what exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perigee_config::Layers;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // The first NUL parts perigee.toml from one region's file.
    let (main, region) = text.split_once('\0').unwrap_or((text, ""));
    let regions: &[(&str, &str)] = if region.is_empty() { &[] } else { &[("ap-northeast-2", region)] };
    if let Ok(config) = Layers::from_strings(Some(main), regions).load() {
        for lb in &config.snapshot.load_balancers {
            let _ = config.snapshot.region(lb.region);
            lb.target_groups().into_iter().for_each(|g| drop(config.snapshot.target_group(g).clone()));
        }
    }
});
