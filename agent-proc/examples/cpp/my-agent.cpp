// my-agent [COUNT]: works out how synchronised the swarm is, with the bits of the built-in agent, and reports it.
#include <cstdio>
#include <cstdlib>
#include <rsw/rsw.hpp>

int main(int argc, char **argv)
try {
    size_t left = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : SIZE_MAX;
    rsw::Swarm swarm;
    auto ring = swarm.ring();
    auto sync = swarm.sync();
    while (left > 0 && ring.wait() != RSW_ENDED) {
        ring.poll();
        for (const auto &event : ring) {
            const auto result = sync.event(event);
            if (!result || left == 0)
                continue; // No report is due.
            const bool sent = swarm.report(*result, ring);
            std::printf("tick %llu: cs %.6f over %u pairs, matrix %08x%s\n",
                        static_cast<unsigned long long>(result->tick), result->cs_mean, result->pairs_defined,
                        result->matrix_crc32, sent ? "" : ", not sent");
            std::fflush(stdout);
            left--;
        }
    }
} catch (const rsw::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
