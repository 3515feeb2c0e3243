//! Rule patterns and paths: matching ends and never panics, and a normalised path keeps no dot segment to climb by.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perigee_rules::{Pattern, host_of, normalise_path};

fuzz_target!(|data: &str| {
    let (pattern, text) = data.split_once('\n').unwrap_or((data, ""));
    let path = normalise_path(text);
    assert!(!path.starts_with('/') || !path.split('/').any(|segment| segment == ".."), "{path}");
    let _ = host_of(text);
    if Pattern::case_sensitive(pattern).matches(text) {
        assert!(Pattern::case_insensitive(pattern).matches(text));
    }
    assert!(Pattern::case_sensitive("*").matches(text));
});
