use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name; the configuration checks its characters and length before.
            pub fn new(name: &str) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A region's code, such as `ap-northeast-2`.
    RegionCode
);
name!(
    /// An availability zone's name: the region's code and a letter, such as `ap-northeast-2a`.
    ZoneName
);
name!(
    /// An accelerator's name: up to 64 letters, digits, `.` and `-` (Global Accelerator API, `CreateAccelerator`).
    AcceleratorName
);
name!(
    /// A load balancer's name: up to 32 letters, digits and `-` (Elastic Load Balancing API, `CreateLoadBalancer`).
    LoadBalancerName
);
name!(
    /// A target group's name: up to 32 letters, digits and `-` (Elastic Load Balancing API, `CreateTargetGroup`).
    TargetGroupName
);
name!(
    /// An EC2 instance's id: `i-` and 8 to 17 hexadecimal digits.
    InstanceId
);
name!(
    /// The allocation id of an Elastic IP address: `eipalloc-` and 8 to 17 hexadecimal digits.
    AllocationId
);
name!(
    /// An edge's point of presence, by the IATA code of its city, such as `ICN`.
    PopCode
);
