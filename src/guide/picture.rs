//! The architecture as a picture: from an entry to a verdict.

use std::fmt::Write as _;

use crate::report::html_escape as escape;

/// A step of the way.
struct Step {
    name: &'static str,
    does: &'static str,
    /// What stands beside it.
    beside: Option<(&'static str, Arrow)>,
}

enum Arrow {
    In,
    Out,
}

use Arrow::{In, Out};

const STEPS: [Step; 8] = [
    Step { name: "models.json", does: "entries of models", beside: Some(("mad.toml", In)) },
    Step {
        name: "catalog",
        does: "tags select entries",
        beside: Some(("validate: findings", Out)),
    },
    Step { name: "plan", does: "a job, or a skip and why", beside: Some(("this machine", In)) },
    Step { name: "engine", does: "runs the script", beside: Some(("leases: GPUs, CPU", In)) },
    Step {
        name: "contract",
        does: "log and CSV to numbers",
        beside: Some(("or one failure", Out)),
    },
    Step { name: "record", does: "kept, never changed", beside: Some(("target/mad/runs/", Out)) },
    Step { name: "regress", does: "verdict, confirmed", beside: Some(("baselines/", In)) },
    Step { name: "results", does: "exit status 0 or 5", beside: Some(("perf.csv, JUnit", Out)) },
];

/// Sizes of the picture: of all of it, of the boxes of both columns.
const WIDTH: u32 = 420;
const MAIN: u32 = 220;
const SIDE: u32 = 260;
const BOX: u32 = 50;
const STEP: u32 = 72;

/// The picture, to be styled by the page it is in.
pub(super) fn svg() -> String {
    let height = STEP * STEPS.len() as u32 - (STEP - BOX) + 4;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"From models.json by way of catalog, plan, engine, contract, record and regress \
         to results\">\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"tip\" \
         d=\"M0 0 L8 4 L0 8 z\"/></marker></defs>\n"
    );
    for (n, step) in STEPS.iter().enumerate() {
        let y = 1 + STEP * n as u32;
        let _ = write!(
            picture,
            "<rect class=\"step\" x=\"1\" y=\"{y}\" width=\"{MAIN}\" height=\"{BOX}\" rx=\"6\"/>\
             <text class=\"name\" x=\"14\" y=\"{}\">{}</text>\
             <text class=\"does\" x=\"14\" y=\"{}\">{}</text>",
            y + 21,
            escape(step.name),
            y + 40,
            escape(step.does)
        );
        if n + 1 < STEPS.len() {
            arrow(&mut picture, (MAIN / 2, y + BOX), (MAIN / 2, y + STEP));
        }
        if let Some((name, direction)) = &step.beside {
            let middle = y + BOX / 2;
            let _ = write!(
                picture,
                "<rect class=\"beside\" x=\"{SIDE}\" y=\"{}\" width=\"{}\" height=\"34\" rx=\"6\"/>\
                 <text class=\"does\" x=\"{}\" y=\"{}\">{}</text>",
                middle - 17,
                WIDTH - SIDE - 1,
                SIDE + 10,
                middle + 5,
                escape(name)
            );
            match direction {
                In => arrow(&mut picture, (SIDE, middle), (MAIN + 2, middle)),
                Out => arrow(&mut picture, (MAIN + 1, middle), (SIDE - 1, middle)),
            }
        }
        picture.push('\n');
    }
    picture.push_str("</svg>\n");
    picture
}

fn arrow(picture: &mut String, from: (u32, u32), to: (u32, u32)) {
    let _ = write!(
        picture,
        "<path class=\"arrow\" d=\"M{} {} L{} {}\" marker-end=\"url(#tip)\"/>",
        from.0, from.1, to.0, to.1
    );
}
