use serde::Serialize;

use crate::{
    Accelerator, DnsZone, ElasticIp, ElasticIpIndex, EndpointTarget, Instance, InstanceIndex, LoadBalancer,
    LoadBalancerName, Region, RegionCode, Settings, TargetGroup, TargetGroupName,
};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub usize);
    };
}

index!(
    /// Position in [`Snapshot::regions`]; means nothing in another generation.
    RegionIndex
);
index!(
    /// Position in [`Snapshot::load_balancers`]; means nothing in another generation.
    LoadBalancerIndex
);
index!(
    /// Position in [`Snapshot::target_groups`]; means nothing in another generation.
    TargetGroupIndex
);
index!(
    /// Position in [`Snapshot::accelerators`]; means nothing in another generation.
    AcceleratorIndex
);
index!(
    /// Position in [`DnsZone::zones`]; means nothing in another generation.
    ZoneIndex
);
index!(
    /// Position in [`DnsZone::policy_names`]; means nothing in another generation.
    PolicyNameIndex
);
index!(
    /// Position in [`DnsZone::policy_nodes`]; means nothing in another generation.
    PolicyNodeIndex
);
index!(
    /// Position in [`DnsZone::health_checks`]; means nothing in another generation.
    HealthCheckIndex
);

/// The whole configuration as the data plane uses it: immutable, valid, replaced whole.
///
/// References between resources are indices that the maker has checked, so the accessors below panic only on an index
/// of another generation, which is a bug of the caller.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Counts up from 1 with every accepted configuration.
    pub generation: u64,
    /// Settings that are not resources.
    pub settings: Settings,
    /// The zone of the DNS answers.
    pub dns: DnsZone,
    /// Regions in code order.
    pub regions: Vec<Region>,
    /// Load balancers in order of region, then name.
    pub load_balancers: Vec<LoadBalancer>,
    /// Target groups in order of region, then name.
    pub target_groups: Vec<TargetGroup>,
    /// Instances that are endpoints, in order of region, then id.
    pub instances: Vec<Instance>,
    /// Elastic IP addresses that are endpoints, in order of region, then id.
    pub elastic_ips: Vec<ElasticIp>,
    /// Accelerators in name order.
    pub accelerators: Vec<Accelerator>,
}

impl Snapshot {
    /// The region at `index`.
    pub fn region(&self, index: RegionIndex) -> &Region {
        &self.regions[index.0]
    }

    /// The load balancer at `index`.
    pub fn load_balancer(&self, index: LoadBalancerIndex) -> &LoadBalancer {
        &self.load_balancers[index.0]
    }

    /// The target group at `index`.
    pub fn target_group(&self, index: TargetGroupIndex) -> &TargetGroup {
        &self.target_groups[index.0]
    }

    /// The instance at `index`.
    pub fn instance(&self, index: InstanceIndex) -> &Instance {
        &self.instances[index.0]
    }

    /// The elastic IP address at `index`.
    pub fn elastic_ip(&self, index: ElasticIpIndex) -> &ElasticIp {
        &self.elastic_ips[index.0]
    }

    /// What an endpoint is called: its load balancer's name, or its id.
    pub fn endpoint_id(&self, target: EndpointTarget) -> &str {
        match target {
            EndpointTarget::LoadBalancer(index) => self.load_balancer(index).name.as_str(),
            EndpointTarget::Instance(index) => self.instance(index).id.as_str(),
            EndpointTarget::ElasticIp(index) => self.elastic_ip(index).id.as_str(),
        }
    }

    /// Whether an endpoint can be reached over IPv6 as well; over IPv4 every one can.
    pub fn has_ipv6(&self, target: EndpointTarget) -> bool {
        match target {
            EndpointTarget::LoadBalancer(index) => self.load_balancer(index).nodes.iter().any(|n| n.ipv6.is_some()),
            EndpointTarget::Instance(index) => self.instance(index).ipv6.is_some(),
            EndpointTarget::ElasticIp(_) => false,
        }
    }

    /// The accelerator at `index`.
    pub fn accelerator(&self, index: AcceleratorIndex) -> &Accelerator {
        &self.accelerators[index.0]
    }

    /// The codes of all regions, in order: what geography orders by distance.
    pub fn region_codes(&self) -> Vec<RegionCode> {
        self.regions.iter().map(|r| r.code.clone()).collect()
    }

    /// The region with `code`.
    pub fn find_region(&self, code: &str) -> Option<RegionIndex> {
        self.regions.iter().position(|r| r.code.as_str() == code).map(RegionIndex)
    }

    /// The load balancer called `name` in `region`.
    pub fn find_load_balancer(&self, region: RegionIndex, name: &LoadBalancerName) -> Option<LoadBalancerIndex> {
        let of_region = &self.regions.get(region.0)?.load_balancers;
        of_region.iter().copied().find(|index| self.load_balancer(*index).name == *name)
    }

    /// The target group called `name` in `region`.
    pub fn find_target_group(&self, region: RegionIndex, name: &TargetGroupName) -> Option<TargetGroupIndex> {
        self.target_groups.iter().position(|tg| tg.region == region && tg.name == *name).map(TargetGroupIndex)
    }
}
