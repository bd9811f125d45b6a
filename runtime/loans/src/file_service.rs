//! The iceoryx2 service variants of this crate: the inter-process mechanisms of `ipc_threadsafe` and of `ipc`,
//! with every memory object a file below the domain's folder instead of a name in `/dev/shm`. Both speak to
//! each other: they differ in what a process does with its own ports alone.
//!
//! The stock variants put their segments flat into `/dev/shm`, where neither a path rule can confine a
//! process to them nor a folder removal clean them up. File-backed storage on a tmpfs is the same
//! memory with a path.

use core::fmt::Debug;

use iceoryx2::service::internal::ServiceInternal;
use iceoryx2::unique_id_generator::unique_system_id::UniqueSystemId;
use iceoryx2_bb_elementary_traits::testing::abandonable::Abandonable;
use iceoryx2_bb_elementary_traits::zero_copy_send::ZeroCopySend;
use iceoryx2_cal::event::event_state::counting_bit_set::RelocatableCountingBitSet;
use iceoryx2_cal::event::trigger::State as EventTriggerState;
use iceoryx2_cal::event::trigger::unix_datagram_socket::GenericUnixDatagramSocketTrigger;
use iceoryx2_cal::shm_allocator::{bump_allocator::BumpAllocator, pool_allocator::PoolAllocator};
use iceoryx2_cal::{
    arc_sync_policy, bag, dynamic_storage, hash, monitoring, reactor, resizable_shared_memory,
    serialize, shared_memory, static_storage, zero_copy_connection,
};

type EventState = EventTriggerState<RelocatableCountingBitSet, ()>;

/// Defines a service whose every object is a file below the root path of the configuration.
macro_rules! file_service {
    ($(#[$doc:meta])* $name:ident, $policy:ident::$protected:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name;

        impl iceoryx2::service::Service for $name {
            type StaticStorage = static_storage::file::Storage;
            type ConfigSerializer = serialize::recommended::Recommended;
            type PersistentDynamicStorage<T: Debug + Send + Sync + ZeroCopySend + 'static> =
                dynamic_storage::file::Storage<T>;
            type Bag = bag::recommended::Recommended;
            type DynamicStorage<T: Debug + Send + Sync + ZeroCopySend + 'static> =
                dynamic_storage::file::Storage<T>;
            type ServiceNameHasher = hash::recommended::Recommended;
            type SharedMemory = shared_memory::file::Memory<PoolAllocator>;
            type ResizableSharedMemory = resizable_shared_memory::dynamic::DynamicMemory<
                PoolAllocator,
                shared_memory::file::Memory<PoolAllocator>,
            >;
            type Connection = zero_copy_connection::file::Connection;
            // Required by the trait, never instantiated: this crate opens no event service, hence no socket.
            type Event = GenericUnixDatagramSocketTrigger<
                RelocatableCountingBitSet,
                dynamic_storage::file::Storage<EventState>,
            >;
            type Monitoring = monitoring::file_lock::FileLockMonitoring;
            type Reactor = reactor::recommended::Ipc;
            type ArcThreadSafetyPolicy<T: Send + Debug + Abandonable> =
                arc_sync_policy::$policy::$protected<T>;
            type BlackboardMgmt<T: Send + Sync + Debug + ZeroCopySend + 'static> =
                dynamic_storage::file::Storage<T>;
            type BlackboardPayload = shared_memory::file::Memory<BumpAllocator>;
            type UniqueId = UniqueSystemId;
        }

        impl ServiceInternal<$name> for $name {}
    };
}

file_service!(
    /// Ports and samples are `Send`: a mutex of this process, uncontended (hence without a system call) as
    /// long as one thread uses a port. A receive and its release lock it four times.
    Movable,
    mutex_protected::MutexProtected
);

file_service!(
    /// Ports and samples stay on the thread that made them, and lock nothing.
    Confined,
    single_threaded::SingleThreaded
);
