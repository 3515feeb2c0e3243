use std::sync::Arc;

use perigee_dataplane::EdgeView;
use perigee_model::LoadBalancerIndex;

use super::addresses::Addresses;
use super::names::Names;
use crate::authority::Authority;

/// What is answered under one view.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(super) view: Arc<EdgeView>,
    pub(super) authority: Arc<Authority>,
    pub(super) names: Arc<Names>,
    /// By load balancer: the addresses of its nodes in service.
    pub(super) balancers: Box<[Addresses]>,
}

impl Tables {
    pub(super) fn new(view: Arc<EdgeView>, authority: Arc<Authority>, names: Arc<Names>) -> Self {
        // Made here, so that no query has to.
        view.tree_states();
        let balancers = (0..view.snapshot.load_balancers.len())
            .map(|lb| Addresses::of(view.load_balancer_addresses(LoadBalancerIndex(lb)).0))
            .collect();
        Self { balancers, names, authority, view }
    }
}
