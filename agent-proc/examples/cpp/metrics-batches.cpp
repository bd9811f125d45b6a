// metrics-batches [COUNT]: record batches through the Arrow C data interface; their columns lie in the loan.
#include <cstdio>
#include <cstdlib>
#include <rsw/rsw.hpp>

// Releases what Arrow's interface gave.
template <typename T> struct Released : T {
    Released() : T() {}
    Released(const Released &) = delete;
    ~Released()
    {
        if (this->release)
            this->release(this);
    }
};

// The cells of the column with this name.
template <typename T> const T *column(const ArrowSchema &schema, const ArrowArray &batch, const std::string &name)
{
    for (int64_t at = 0; at < schema.n_children; at++)
        if (schema.children[at]->name == name)
            return static_cast<const T *>(batch.children[at]->buffers[1]) + batch.children[at]->offset;
    throw std::runtime_error("no column " + name);
}

int main(int argc, char **argv)
try {
    using ull = unsigned long long;
    rsw::Swarm swarm;
    Released<ArrowArrayStream> stream;
    Released<ArrowSchema> schema;
    swarm.stream(&stream);
    if (stream.get_schema(&stream, &schema) != 0)
        throw std::runtime_error(stream.get_last_error(&stream));
    for (auto left = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 3; left > 0; left--) {
        Released<ArrowArray> batch;
        if (stream.get_next(&stream, &batch) != 0)
            throw std::runtime_error(stream.get_last_error(&stream));
        if (!batch.release)
            break; // The end.
        const auto *ticks = column<uint64_t>(schema, batch, "tick");
        const auto *ci = column<double>(schema, batch, "ci");
        double sum = 0.0;
        for (int64_t row = 0; row < batch.length; row++)
            sum += ci[row];
        std::printf("ticks %llu to %llu, %lld rows, mean ci %.6f\n", ull(ticks[0]), ull(ticks[batch.length - 1]),
                    static_cast<long long>(batch.length), sum / double(batch.length));
    }
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
