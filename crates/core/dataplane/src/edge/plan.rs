use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use perigee_balance::Seed;
use perigee_geo::{Atlas, PopIndex};
use perigee_model::{AcceleratorIndex, AcceleratorListener, Snapshot};
use perigee_steering::{Flow, GroupOrder, Trees};

use super::Refusal;

/// What is the same for every flow of one configuration and one atlas, worked out once and shared by all views that
/// differ in health alone.
#[derive(Debug)]
pub(super) struct Plan {
    /// Static addresses in order, with their accelerators.
    addresses: Box<[(IpAddr, AcceleratorIndex)]>,
    accelerators: Box<[AcceleratorPlan]>,
    /// Made when first asked for: tables of the whole address space, which only a DNS server needs.
    trees: OnceLock<Arc<Trees>>,
}

#[derive(Debug)]
struct AcceleratorPlan {
    seed: Seed,
    /// By listener, then by point of presence.
    orders: Box<[Box<[GroupOrder]>]>,
}

impl Plan {
    pub(super) fn new(snapshot: &Snapshot, atlas: &Atlas) -> Self {
        let indices = (0..snapshot.accelerators.len()).map(AcceleratorIndex);
        let mut addresses: Vec<(IpAddr, AcceleratorIndex)> = indices
            .flat_map(|index| snapshot.accelerator(index).addresses.iter().map(move |address| (*address, index)))
            .collect();
        addresses.sort_unstable();
        addresses.dedup_by_key(|(address, _)| *address);
        let pops = || (0..atlas.pops().len()).map(PopIndex);
        let accelerators = snapshot.accelerators.iter().map(|accelerator| {
            let orders = accelerator.listeners.iter().map(|listener| {
                let order = |pop| GroupOrder::new(listener, atlas.pop_order(pop));
                pops().map(order).collect()
            });
            AcceleratorPlan { seed: Seed::derive(accelerator.name.as_str()), orders: orders.collect() }
        });
        Self { addresses: addresses.into(), accelerators: accelerators.collect(), trees: OnceLock::new() }
    }

    /// The accelerator and listener of the flow's address, protocol and port. Errors: there is none, or it is disabled.
    pub(super) fn listener(&self, snapshot: &Snapshot, flow: &Flow) -> Result<(AcceleratorIndex, usize), Refusal> {
        let address = flow.destination.ip();
        let at = self.addresses.binary_search_by_key(&address, |(a, _)| *a).map_err(|_| Refusal::NoListener)?;
        let index = self.addresses[at].1;
        let accelerator = snapshot.accelerator(index);
        if !accelerator.enabled {
            return Err(Refusal::Disabled);
        }
        let takes = |l: &AcceleratorListener| l.protocol == flow.protocol && l.listens_on(flow.destination.port());
        let listener = accelerator.listeners.iter().position(takes);
        Ok((index, listener.ok_or(Refusal::NoListener)?))
    }

    /// The names' routing policies, made of what the plan was made of.
    pub(super) fn trees(&self, snapshot: &Snapshot, atlas: &Atlas) -> &Arc<Trees> {
        self.trees.get_or_init(|| Arc::new(Trees::build(snapshot, atlas)))
    }

    /// The same, if they have been asked for.
    pub(super) fn trees_made(&self) -> Option<&Arc<Trees>> {
        self.trees.get()
    }

    pub(super) fn seed(&self, accelerator: AcceleratorIndex) -> &Seed {
        &self.accelerators[accelerator.0].seed
    }

    /// A listener's endpoint groups as seen from `pop`.
    pub(super) fn groups(&self, (accelerator, listener): (AcceleratorIndex, usize), pop: PopIndex) -> &GroupOrder {
        &self.accelerators[accelerator.0].orders[listener][pop.0]
    }
}
