// The nonlinear term f(u).

override LAW: u32;
const LINEAR: u32 = 0u;
const SINE_GORDON: u32 = 1u;
const PHI4: u32 = 2u;
const RELU: u32 = 3u;

override STRENGTH: f32;
override THRESHOLD: f32;
override LIMIT: f32;

fn force(u: f32) -> f32 {
    switch LAW {
        case SINE_GORDON: {
            return -(STRENGTH * sine(u));
        }
        case PHI4: {
            return STRENGTH * (u - u * u * u);
        }
        case RELU: {
            let above = u - THRESHOLD;
            // A NaN passes through both comparisons, so that divergence is still seen.
            let positive = select(above, 0.0, above < 0.0);
            return STRENGTH * select(positive, LIMIT, positive > LIMIT);
        }
        default: {
            return 0.0;
        }
    }
}

// The CPU's sine (real.rs) and not the built-in one, which is only good to 2^-11 and only from -pi to pi.
fn sine(x: f32) -> f32 {
    // A whole number by `round`: adding and subtracting a large number is what a compiler may leave out here.
    let turns = round(x * 0.31830987);
    let r = ((x - turns * 3.140625) - turns * 9.6702576e-4) - turns * 6.2783296e-7;
    let r2 = r * r;
    var tail = -1.0 / 39916800.0;
    tail = tail * r2 + 1.0 / 362880.0;
    tail = tail * r2 - 1.0 / 5040.0;
    tail = tail * r2 + 1.0 / 120.0;
    tail = tail * r2 - 1.0 / 6.0;
    let sine = r + r * (r2 * tail);
    return select(sine, -sine, (i32(turns) & 1) == 1);
}
