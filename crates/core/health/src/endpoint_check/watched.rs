use std::sync::Arc;
use std::time::Duration;

use perigee_model::dns::EndpointCheck;
use perigee_model::{Behaviour, Instant, Settings};

use super::{EndpointKey, EndpointProbe};
use crate::damper::Damper;
use crate::prober::{Prober, phase};
use crate::{Evidence, HealthState, ProbeFailure, ProbedHealth};

/// First probes begin within this time, or within an interval if that is shorter (Perigee's choice: a stack that starts
/// should soon know where it stands).
const FIRST_PROBES: Duration = Duration::from_secs(1);

/// A probed endpoint with what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) key: EndpointKey,
    check: Arc<EndpointCheck>,
    /// What its schedule is spread by.
    name: Box<str>,
    prober: Prober,
    damper: Damper,
    /// Whether live connects count.
    passive: bool,
    /// Since when a live connect speaks against it.
    suspected: Option<Instant>,
    /// Slow connects in a row.
    slow: u8,
    armed: Option<Instant>,
}

impl Watched {
    pub(super) fn new(key: EndpointKey, check: EndpointCheck, settings: &Settings, salt: u64, now: Instant) -> Self {
        let EndpointKey { accelerator, listener: (protocol, port), region, endpoint } = &key;
        let name = format!("{salt}/{accelerator}/{protocol}/{port}/{region}/{endpoint}").into_boxed_str();
        let first = now + phase(&name, 0, check.interval.min(FIRST_PROBES));
        Self {
            prober: Prober::new(check.threshold, first),
            check: Arc::new(check),
            name,
            key,
            damper: Damper::new(hold(settings)),
            passive: settings.behaviour == Behaviour::Fast,
            suspected: None,
            slow: 0,
            armed: None,
        }
    }

    /// Takes another check of the same endpoint; what is known stays.
    pub(super) fn set_check(&mut self, check: EndpointCheck, settings: &Settings, now: Instant) {
        self.prober.set_threshold(check.threshold);
        let asks = |c: &EndpointCheck| (c.protocol, c.address, c.port, c.path.clone());
        if asks(&check) != asks(&self.check) {
            self.prober.abandon(now);
        }
        if check.interval < self.check.interval {
            self.prober.bring_forward(now + check.interval);
        }
        self.check = Arc::new(check);
        self.passive = settings.behaviour == Behaviour::Fast;
        if !self.passive {
            (self.suspected, self.slow) = (None, 0);
        }
        self.damper.set_base(hold(settings));
        self.damp(now);
    }

    pub(super) fn health(&self) -> ProbedHealth {
        let measured = match self.prober.check().state() {
            HealthState::Healthy if !self.damper.is_up() => HealthState::Unhealthy,
            state => state,
        };
        ProbedHealth { measured, forced: None, failure: self.prober.check().last_failure() }
    }

    /// When its next probe is due; none while one is under way.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        self.prober.due()
    }

    /// Begins the probe with the number `serial`.
    pub(super) fn begin(&mut self, serial: u64) -> Arc<EndpointCheck> {
        self.prober.begin(serial);
        self.check.clone()
    }

    pub(super) fn probed(&mut self, probe: &EndpointProbe, result: Result<(), ProbeFailure>, now: Instant) {
        // Five per cent more or less, from the probe's number: who began together does not stay together.
        let jitter = phase(&self.name, (probe.serial & 0xff) as u8, self.check.interval / 10);
        if !self.prober.end(probe.serial, result, self.check.interval * 19 / 20 + jitter, now) {
            return;
        }
        match result {
            // It says nothing about what came after it began.
            Ok(()) if self.suspected.is_some_and(|at| probe.began < at) => self.prober.bring_forward(now),
            Ok(()) => self.suspected = None,
            Err(ProbeFailure::Internal) => {}
            // Who fails while coming back has not come back.
            Err(_) if !self.damper.is_up() && self.passive => self.suspected = Some(now),
            Err(_) => {}
        }
        self.damp(now);
    }

    pub(super) fn evidence(&mut self, evidence: Evidence, now: Instant) {
        if !self.passive || self.prober.check().state() != HealthState::Healthy {
            return;
        }
        if evidence.condemns(&mut self.slow) {
            self.suspect(now);
        }
    }

    fn suspect(&mut self, now: Instant) {
        self.slow = 0;
        if self.suspected.replace(now).is_none() {
            self.prober.bring_forward(now);
        }
        self.damp(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.damp(now);
    }

    fn damp(&mut self, now: Instant) {
        let state = self.prober.check().state();
        // One that is not judged yet is not eligible anyway, and its first pass need not wait.
        if state != HealthState::Initial {
            self.damper.observe(state == HealthState::Healthy && self.suspected.is_none(), now);
        }
    }

    /// Where its timer stands in the list of timers.
    pub(super) const fn armed(&self) -> Option<Instant> {
        self.armed
    }

    /// Where its timer belongs now, and remembers it.
    pub(super) fn rearm(&mut self) -> Option<Instant> {
        self.armed = self.prober.due().into_iter().chain(self.damper.due()).min();
        self.armed
    }
}

/// How long an endpoint that came back is held for itself.
const fn hold(settings: &Settings) -> Duration {
    match settings.behaviour {
        Behaviour::Fast => settings.timing.recovery_hold,
        Behaviour::Aws => Duration::ZERO,
    }
}
