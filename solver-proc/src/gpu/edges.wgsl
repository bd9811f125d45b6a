// Edges that let waves out, written by the cells inside of them: `before` is what `next` held there, `after` what it
// holds now. Nobody else reads an edge cell of `next`. A field that has such edges has three cells along each side.

const MUR: u32 = 2u;
const ENGQUIST_MAJDA: u32 = 3u;

// (c dt - h)/(c dt + h) across x, across y and along the diagonal.
override ACROSS_X: f32;
override ACROSS_Y: f32;
override CORNER: f32;
// (c dt)^2 h/(2 k^2 (c dt + h)), h the spacing across the edge, k the one along it.
override ALONG_X: f32;
override ALONG_Y: f32;

fn write_edges(x: u32, y: u32, cell: u32, before: f32, after: f32) {
    let west = x == 1u;
    let east = x + 2u == NX;
    let north = y == 1u;
    let south = y + 2u == NY;
    let x_edge = vec2(ACROSS_X, ALONG_X);
    let y_edge = vec2(ACROSS_Y, ALONG_Y);
    if west {
        write_edge(cell - 1u, cell, NX, x_edge, before, after);
    }
    if east {
        write_edge(cell + 1u, cell, NX, x_edge, before, after);
    }
    if north {
        write_edge(cell - NX, cell, 1u, y_edge, before, after);
    }
    if south {
        write_edge(cell + NX, cell, 1u, y_edge, before, after);
    }
    if west && north {
        write_corner(cell - NX - 1u, cell, after);
    }
    if east && north {
        write_corner(cell - NX + 1u, cell, after);
    }
    if west && south {
        write_corner(cell + NX - 1u, cell, after);
    }
    if east && south {
        write_corner(cell + NX + 1u, cell, after);
    }
}

// The edge cell beside cell `inside`; cells along the edge are `along` apart.
fn write_edge(edge: u32, inside: u32, along: u32, factor: vec2<f32>, before: f32, after: f32) {
    if EDGES == MUR {
        next[edge] = here[inside] + factor.x * (after - here[edge]);
        return;
    }
    // The levels are taken apart so that a uniform field is kept exactly.
    let moved = (after - here[inside]) + (next[edge] - here[edge]);
    let bent = bent_along(edge, along) + bent_along(inside, along);
    next[edge] = (here[edge] + (here[inside] - before)) + (factor.x * moved + factor.y * bent);
}

fn write_corner(corner: u32, inside: u32, after: f32) {
    next[corner] = here[inside] + CORNER * (after - here[corner]);
}

// Second difference.
fn bent_along(cell: u32, along: u32) -> f32 {
    return (here[cell - along] + here[cell + along]) - (here[cell] + here[cell]);
}
