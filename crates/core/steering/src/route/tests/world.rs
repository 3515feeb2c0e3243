use std::net::{Ipv4Addr, SocketAddr};

use perigee_balance::Seed;
use perigee_geo::Leg;
use perigee_health::{GroupHealth, HealthState, LoadBalancerHealth, ProbedHealth, ProbedView, View};
use perigee_model::*;

use crate::*;

/// A world of regions a, b, c ... in order of distance.
#[derive(Debug)]
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) health: View,
    pub(super) order: Vec<Leg>,
    pub(super) seed: Seed,
}

impl World {
    pub(super) fn new(regions: usize) -> Self {
        let codes = &["a", "b", "c", "d", "e"][..regions];
        let snapshot = fixtures::snapshot(codes);
        let healthy = LoadBalancerHealth { measured: HealthState::Healthy, ..LoadBalancerHealth::unknown(2) };
        Self {
            health: View { load_balancers: vec![healthy; regions], checks: Vec::new(), probed: ProbedView::default() },
            order: (0..regions).map(|i| Leg { region: RegionIndex(i), rtt_ms: i as f32, measured: true }).collect(),
            seed: Seed::derive("shop"),
            snapshot,
        }
    }

    pub(super) fn dials(mut self, dials: &[f64]) -> Self {
        for (group, dial) in self.listener_mut().endpoint_groups.iter_mut().zip(dials) {
            group.traffic_dial = TrafficDial::new(*dial).expect("a dial");
        }
        self
    }

    /// Gives group 0 endpoints of the given weights, all in region a, and everything a load balancer of its own.
    pub(super) fn weights(mut self, weights: &[u8]) -> Self {
        let base = self.snapshot.load_balancers.len();
        let mut endpoints = Vec::new();
        for (i, weight) in weights.iter().enumerate() {
            let mut lb = self.snapshot.load_balancers[0].clone();
            lb.name = LoadBalancerName::new(&format!("lb{i}"));
            self.snapshot.load_balancers.push(lb);
            self.health.load_balancers.push(self.health.load_balancers[0].clone());
            endpoints.push(Endpoint {
                target: EndpointTarget::LoadBalancer(LoadBalancerIndex(base + i)),
                weight: Weight::new(*weight),
                client_ip_preservation: true,
            });
        }
        self.listener_mut().endpoint_groups[0].endpoints = endpoints;
        self
    }

    /// The same with everything an instance in place of the load balancers, all healthy.
    pub(super) fn of_instances(mut self) -> Self {
        let snapshot = &mut self.snapshot;
        fixtures::add_instances(snapshot);
        for group in &mut snapshot.accelerators[0].listeners[0].endpoint_groups {
            group.endpoints.retain(|e| e.target.is_probed());
        }
        let count = snapshot.accelerators[0].listeners[0].endpoint_groups.len();
        self.probed((0..count).map(|_| group(HealthState::Healthy, false)).collect());
        self
    }

    /// Puts what is known of the groups' instances in its place.
    pub(super) fn probed(&mut self, groups: Vec<GroupHealth>) {
        self.health.probed = ProbedView::default().with_listener(AcceleratorIndex(0), 0, groups);
    }

    pub(super) fn listener_mut(&mut self) -> &mut AcceleratorListener {
        &mut self.snapshot.accelerators[0].listeners[0]
    }

    pub(super) fn fail(&mut self, lb: usize) {
        self.health.load_balancers[lb].measured = HealthState::Unhealthy;
    }

    pub(super) fn groups(&self) -> GroupOrder {
        GroupOrder::new(&self.snapshot.accelerators[0].listeners[0], &self.order)
    }

    pub(super) fn router<'a>(&'a self, groups: &'a GroupOrder) -> Router<'a> {
        Router::new(&self.snapshot, (AcceleratorIndex(0), 0), groups, &self.health, &self.seed)
    }

    pub(super) fn decide(&self, n: u32) -> Decision {
        self.decide_flow(&flow(n))
    }

    pub(super) fn decide_flow(&self, flow: &Flow) -> Decision {
        self.router(&self.groups()).decide(flow, &mut ())
    }

    /// Where the flow is sent.
    pub(super) fn candidate(&self, flow: &Flow) -> Option<Candidate> {
        let groups = self.groups();
        let router = self.router(&groups);
        router.candidate(flow, &router.decide(flow, &mut ()))
    }

    /// How many of `n` flows each (group, endpoint) gets.
    pub(super) fn count(&self, n: u32) -> std::collections::BTreeMap<(usize, usize), u32> {
        let mut count = std::collections::BTreeMap::new();
        let groups = self.groups();
        let router = self.router(&groups);
        for i in 0..n {
            match router.decide(&flow(i), &mut ()).outcome {
                Outcome::Endpoint { group, endpoint } => *count.entry((group, endpoint)).or_insert(0) += 1,
                Outcome::Refuse => panic!("flow {i} was refused"),
            }
        }
        count
    }
}

/// A group of one instance.
pub(super) fn group(measured: HealthState, held: bool) -> GroupHealth {
    GroupHealth { held, endpoints: vec![Some(ProbedHealth { measured, ..ProbedHealth::default() })] }
}

pub(super) fn flow(n: u32) -> Flow {
    let client =
        SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + n / 50).into(), 1024 + u16::try_from(n % 50).unwrap_or(0));
    Flow::tcp(client, ([127, 75, 2, 1], 8080).into())
}

pub(super) fn within(got: u32, n: u32, share: f64) {
    let expected = f64::from(n) * share;
    let sigma = (expected * (1.0 - share)).sqrt();
    assert!((f64::from(got) - expected).abs() <= 3.3 * sigma, "{got} of {n}, expected {expected} +- {}", 3.3 * sigma);
}
