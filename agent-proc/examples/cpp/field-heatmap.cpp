// field-heatmap [FILE]: borrows a frame of the complexity field, without a copy, and writes it as an image (PGM).
#include <cstdio>
#include <fstream>
#include <rsw/rsw.hpp>

int main(int argc, char **argv)
try {
    rsw::Swarm swarm;
    auto ring = swarm.ring();
    auto field = swarm.field("ci");
    auto loan = field.latest();
    while (!loan) {
        // Frames wake nobody; the events of their ticks do.
        if (ring.wait(100000000, RSW_WAIT_BLOCK) == RSW_ENDED)
            return 1;
        ring.poll();
        loan = field.latest();
    }
    const auto &frame = loan->frame;
    std::ofstream file(argc > 1 ? argv[1] : "ci.pgm", std::ios::binary);
    file << "P5\n" << frame.nx << " " << frame.ny << "\n255\n";
    const float range = frame.max > frame.min ? frame.max - frame.min : 1.0f;
    for (const float cell : *loan)
        file.put(static_cast<char>(static_cast<unsigned char>(255.0f * ((cell - frame.min) / range))));
    if (!file.flush())
        return 1;
    std::printf("ci %u x %u, %.6f to %.6f\n", frame.nx, frame.ny, double(frame.min), double(frame.max));
} catch (const rsw::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
