//! A made-up day for the tests of this crate: 32 regions, 107 edges, Tokyo down from nine to half past nine.
//!
//! Its figures agree with each other (totals are sums of the series), so that a report of it can be checked by sums.

use std::collections::BTreeMap;

use perigee_geo::{Tables, shipped};
use perigee_sim::{
    Anatomy, Cost, JudgedBound, LoadAnswers, LoadLatencies, LoadSummary, MapMoment, Moment, Outcome, Percentiles,
    RegionStep, Site, Step, Stream, Totals,
};

const STEP_S: f64 = 60.0;
const STEPS: usize = 1_440;
const FAULT_S: f64 = 32_400.0;
const MENDED_S: f64 = 1_800.0;

/// The day: midnight to midnight in Tokyo.
pub(crate) fn outcome() -> Outcome {
    let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap();
    let site = |code: String, city: &str, at: perigee_model::Location| Site {
        code,
        city: city.into(),
        latitude: at.latitude,
        longitude: at.longitude,
    };
    let regions: Vec<Site> = tables.regions().iter().map(|r| site(r.code.to_string(), &r.city, r.location)).collect();
    let edges = tables.edges().iter().map(|e| site(e.code.to_string(), &e.city, e.location)).collect();
    let mut outcome = Outcome {
        scenario: "tokyo-at-nine".into(),
        story: "Tokyo dies at nine in the morning & comes back half an hour later".into(),
        behaviour: "fast".into(),
        seed: 7,
        duration_s: STEP_S * STEPS as f64,
        begins_utc_s: 54_000.0,
        utc_offset_s: 32_400,
        trace_hash: "9f86d081884c7d659a2feaa0c55ad015".into(),
        events: 18_234_567,
        regions,
        edges,
        clients: 20_000,
        step_s: STEP_S,
        attribution: "IP Geolocation by DB-IP".into(),
        ..Outcome::default()
    };
    outcome.series = series(&outcome.regions);
    outcome.totals = totals(&outcome.series);
    outcome.cost = cost(&outcome);
    outcome.maps = vec![
        map(&outcome.regions, FAULT_S - 60.0, "a minute before tokyo-dies", &[]),
        map(
            &outcome.regions,
            FAULT_S + 60.0,
            "a minute after tokyo-dies",
            &[place(&outcome.regions, "ap-northeast-1")],
        ),
    ];
    happened(&mut outcome);
    outcome
}

fn place(regions: &[Site], code: &str) -> usize {
    regions.iter().position(|r| r.code == code).unwrap()
}

fn series(regions: &[Site]) -> Vec<Step> {
    let mut noise = Stream::named(7, "sample");
    let tokyo = place(regions, "ap-northeast-1");
    let heirs = [(place(regions, "ap-northeast-3"), 0.7), (place(regions, "ap-northeast-2"), 0.3)];
    (0..STEPS).map(|i| step(i as f64 * STEP_S, regions, tokyo, &heirs, &mut noise)).collect()
}

fn step(at_s: f64, regions: &[Site], tokyo: usize, heirs: &[(usize, f64)], noise: &mut Stream) -> Step {
    let down = (FAULT_S..FAULT_S + MENDED_S).contains(&at_s);
    let mut rates: Vec<f64> =
        regions.iter().enumerate().map(|(i, r)| rate(i, r, at_s) * (0.97 + 0.06 * noise.unit())).collect();
    if down {
        let lost = std::mem::take(&mut rates[tokyo]);
        heirs.iter().for_each(|(i, part)| rates[*i] += lost * part);
    }
    let mut failed = BTreeMap::new();
    if at_s == FAULT_S {
        failed = [("new_connection", 412), ("in_flight", 218), ("timeout", 97)].map(|(k, n)| (k.to_owned(), n)).into();
    } else if at_s == FAULT_S + STEP_S {
        failed = [("timeout".to_owned(), 61)].into();
    }
    let lost: u64 = failed.values().sum();
    let rows: Vec<RegionStep> = rates
        .iter()
        .enumerate()
        .map(|(i, rate)| {
            let ok = (rate * STEP_S) as u64;
            RegionStep {
                ok,
                failed: if i == tokyo { lost } else { 0 },
                latency: latency(ok, 20.0 + i as f64),
                utilisation: rate / (40.0 + rate * 0.4).max(30.0),
                dns_answers: ok / 40,
                flows: ok / 9,
            }
        })
        .collect();
    let ok: u64 = rows.iter().map(|r| r.ok).sum();
    let worse = if down { 1.6 } else { 1.0 };
    Step { at_s, failed, requests: ok + lost, latency: latency(ok, 32.0 * worse), regions: rows }
}

/// A daily wave by longitude on a size by position.
fn rate(i: usize, site: &Site, at_s: f64) -> f64 {
    let local_h = (at_s / 3_600.0 + 15.0 + site.longitude / 15.0).rem_euclid(24.0);
    let wave = 0.55 - 0.45 * ((local_h - 3.0) / 24.0 * std::f64::consts::TAU).cos();
    let size = [4.0, 9.0, 40.0, 22.0, 14.0, 30.0, 8.0, 18.0, 11.0, 6.0][i % 10] + i as f64 * 0.5;
    wave * size
}

fn latency(count: u64, p50_ms: f64) -> Percentiles {
    Percentiles {
        count,
        mean_ms: p50_ms * 1.2,
        p50_ms,
        p90_ms: p50_ms * 2.4,
        p99_ms: p50_ms * 6.0,
        p999_ms: p50_ms * 11.0,
        max_ms: p50_ms * 40.0,
    }
}

fn totals(series: &[Step]) -> Totals {
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for (kind, n) in series.iter().flat_map(|s| &s.failed) {
        *failed.entry(kind.clone()).or_default() += n;
    }
    let ok = series.iter().flat_map(|s| &s.regions).map(|r| r.ok).sum();
    Totals {
        sessions: ok / 9,
        requests: series.iter().map(|s| s.requests).sum(),
        ok,
        failed,
        latency: latency(ok, 31.0),
        dns_answers: ok / 40,
        dns_from_cache: ok / 50,
    }
}

fn cost(outcome: &Outcome) -> Cost {
    let lost: u64 = outcome.totals.failed.values().sum();
    Cost {
        requests_lost: lost,
        lost_percent: 100.0 * lost as f64 / outcome.totals.requests as f64,
        bad_minutes: 1.0,
        overload_minutes: 12.5,
        overload_minutes_by_region: [("ap-northeast-3".to_owned(), 12.5)].into(),
    }
}

fn map(regions: &[Site], at_s: f64, title: &str, down: &[usize]) -> MapMoment {
    let mut noise = Stream::named(11, title);
    let near = |lat: f64, lon: f64| {
        let far = |r: &Site| {
            let d = (r.longitude - lon).abs();
            (r.latitude - lat).powi(2) + d.min(360.0 - d).powi(2)
        };
        let up = (0..regions.len()).filter(|i| !down.contains(i));
        up.min_by(|a, b| far(&regions[*a]).total_cmp(&far(&regions[*b])))
    };
    let mut arcs = Vec::new();
    for (i, region) in regions.iter().enumerate() {
        for _ in 0..6 + i % 5 {
            let lat = (region.latitude + 24.0 * (noise.unit() - 0.5)).clamp(-55.0, 68.0);
            let lon = (region.longitude + 40.0 * (noise.unit() - 0.5) + 180.0).rem_euclid(360.0) - 180.0;
            let to = near(lat, lon).filter(|_| noise.unit() > 0.01);
            arcs.push((lat, lon, to, rate(i, region, at_s) * noise.unit() / 4.0));
        }
    }
    MapMoment { at_s, title: title.into(), down: down.to_vec(), arcs }
}

fn happened(outcome: &mut Outcome) {
    let moment = |after_s: f64, kind: &str, what: &str, text: &str| Moment {
        at_s: FAULT_S + after_s,
        kind: kind.into(),
        what: what.into(),
        text: text.into(),
    };
    outcome.moments = vec![
        moment(0.0, "fault", "tokyo-dies", "region ap-northeast-1 is down"),
        moment(1.2, "health", "ap-northeast-1", "NRT sees ap-northeast-1 unhealthy"),
        moment(MENDED_S, "mended", "tokyo-dies", "region ap-northeast-1 is back"),
    ];
    outcome.anatomies = vec![Anatomy {
        event: "tokyo-dies".into(),
        what: "region ap-northeast-1".into(),
        at_s: FAULT_S,
        first_detected_s: Some(1.2),
        all_detected_s: Some(1.9),
        dns_detected_s: Some(1.4),
        last_flow_s: Some(1.9),
        dns_tail_s: Some(64.0),
        last_failure_s: Some(71.3),
        requests_lost: outcome.cost.requests_lost,
        mended_s: Some(MENDED_S),
        trusted_again_s: Some(3.1),
        first_flow_back_s: Some(2.2),
    }];
    let latency = LoadLatencies { count: 8_990, p50_ms: 12.0, p99_ms: 41.0, max_ms: 3_011.0 };
    outcome.loads = [(
        "from-osaka".to_owned(),
        LoadSummary {
            duration_ms: 900_000,
            requests: 9_000,
            ok: 8_990,
            failed: 10,
            failed_by_kind: [("new_connection".to_owned(), 10)].into(),
            connections_opened: 40,
            longest_gap_ms: 1_950,
            latency,
            new_connection_latency: LoadLatencies { count: 40, ..latency },
            regions: [("ap-northeast-3".to_owned(), LoadAnswers { answers: 8_990, first_ms: 12, last_ms: 899_990 })]
                .into(),
            ..LoadSummary::default()
        },
    )]
    .into();
    let bound =
        |words: &str, value, unit: &str, holds| JudgedBound { words: words.into(), value, unit: unit.into(), holds };
    outcome.bounds = vec![
        bound("all edges know of tokyo-dies within 3 s", Some(1.9), "s", true),
        bound("less than 0.001 % of the requests are lost", Some(outcome.cost.lost_percent), "%", false),
    ];
    outcome.explanations =
        vec![(FAULT_S + 60.0, "flow from 133.11.0.1\n  <ap-northeast-1> unhealthy\n  -> ap-northeast-3".into())];
}
