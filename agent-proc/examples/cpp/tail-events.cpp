// tail-events [COUNT]: the events from the oldest on, every loss told, and the exact account at the end.
#include <cstdio>
#include <cstdlib>
#include <rsw/rsw.hpp>

int main(int argc, char **argv)
try {
    using ull = unsigned long long;
    size_t left = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : SIZE_MAX;
    rsw::Swarm swarm;
    auto ring = swarm.ring(RSW_FROM_OLDEST);
    while (left > 0 && ring.wait() != RSW_ENDED) {
        const int32_t status = ring.poll(left);
        const auto stats = ring.stats();
        if (status == RSW_LAPPED)
            std::printf("lost %llu to %llu\n", ull(stats.lost_from), ull(stats.lost_to));
        if (status == RSW_REATTACHED)
            std::printf("generation %llu\n", ull(stats.generation));
        for (const auto &event : ring)
            std::printf("%llu kind %u source %u at %lld\n", ull(event.sequence), event.kind, event.source,
                        static_cast<long long>(event.t_ns));
        left -= ring.size();
    }
    std::printf("received %llu, lost %llu\n", ull(ring.stats().received), ull(ring.stats().lost));
} catch (const rsw::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
