#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sovereign_fuzz_targets::run("config", data));
