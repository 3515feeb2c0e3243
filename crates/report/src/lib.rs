//! What a simulated run has to say: pages, plots, maps and tables.
//!
//! Everything here is a function of a [`perigee_sim::Outcome`]: equal outcomes give equal texts, pages and pictures,
//! byte for byte on one machine. Nothing reads a clock, and only [`write`], [`write_plots`] and [`write_parquet`]
//! touch files.

mod axis;
mod bins;
mod clock;
mod compare;
mod error;
mod figures;
mod frame;
mod html;
mod land;
mod map;
mod markup;
mod number;
mod page;
mod palette;
mod plots;
mod png;
mod projection;
mod stages;
mod summary;
mod table;
mod timeline;
mod view;
mod write;

pub use compare::{Compared, Comparison, Side, compare, compare_html};
pub use error::ReportError;
pub use figures::{Better, Figure, Unit, figures};
pub use html::html;
pub use plots::{Picture, pictures, write_plots};
pub use summary::{Summary, summary};
pub use table::{Parameter, SweepRow, write_parquet};
pub use write::write;

#[cfg(test)]
mod sample;
