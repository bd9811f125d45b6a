// watch-board: every cell of the board, once, each without tearing.
#include <algorithm>
#include <cstdio>
#include <rsw/rsw.hpp>

int main()
try {
    const auto cells = rsw::Swarm().board();
    uint64_t oldest = UINT64_MAX, newest = 0;
    for (const auto &[info, cell] : cells) {
        std::printf("%s = ", info.name);
        if (info.value_type == RSW_F64)
            std::printf("%.6f", cell.value.f64);
        else if (info.value_type == RSW_U64)
            std::printf("%llu", static_cast<unsigned long long>(cell.value.u64));
        else
            std::printf("%lld", static_cast<long long>(cell.value.i64));
        std::printf("%s%s\n", info.unit[0] ? " " : "", info.unit);
        oldest = std::min(oldest, cell.tick);
        newest = std::max(newest, cell.tick);
    }
    std::printf("%zu cells of ticks %llu to %llu\n", cells.size(), static_cast<unsigned long long>(oldest),
                static_cast<unsigned long long>(newest));
} catch (const rsw::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
