//! What each role is started with: program, arguments, descriptors, policy.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rsw_config::{AgentSection, Durability, Topology};
use rsw_os::clock::mono_ns;
use rsw_sandbox::{Launch, Policy, Profile};
use rsw_schemas::exit;
use rsw_schemas::wire::{Isolation, PacketKind};

use super::channel::Channel;
use super::child::{Role, Running};
use super::{NO_PLANE_FOR_IT, Swarm, launch_error, os_error};
use crate::project::Project;
use crate::view::error::CliError;

/// For whoever may open a GPU: what the user's environment says about Vulkan, its drivers and which device. Without a
/// wish, Mesa's layer that sorts devices would look for a desktop and complain on stderr that there is none.
pub(crate) fn vulkan_environment() -> Vec<(OsString, OsString)> {
    let named = ["LD_LIBRARY_PATH", "XDG_DATA_DIRS"];
    let about_vulkan = |name: &str| {
        named.contains(&name) || ["VK_", "MESA_"].iter().any(|prefix| name.starts_with(prefix))
    };
    let all = std::env::vars_os();
    let mut found: Vec<_> =
        all.filter(|(name, _)| name.to_str().is_some_and(about_vulkan)).collect();
    if !found.iter().any(|(name, _)| name == "MESA_VK_DEVICE_SELECT") {
        found.push(("NODEVICE_SELECT".into(), "1".into()));
    }
    found
}

/// What a launch needs beside what is the same for all.
struct Plan {
    program: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    policy: Policy,
    kept: Vec<OwnedFd>,
    control: Option<Channel>,
}

impl Swarm {
    /// Starts the process of a child, and connects it to those that run.
    pub(super) fn launch(&mut self, index: usize) -> Result<(), CliError> {
        let role = self.children[index].role;
        let plan = match role {
            Role::Recorder => self.plan_recorder(),
            Role::Kernel => self.plan_kernel(),
            Role::Gateway => self.plan_gateway(),
            Role::Agent(agent) => self.plan_agent(agent),
        }?;
        let (read, write) = std::io::pipe().map_err(|error| io_error("a pipe", error))?;
        let output = OwnedFd::from(read);
        rsw_os::process::set_nonblocking(&output).map_err(os_error)?;
        let errors = write.try_clone().map_err(|error| io_error("a pipe", error))?;
        let keep_fds: Vec<BorrowedFd<'_>> = plan.kept.iter().map(AsFd::as_fd).collect();
        let launch = Launch {
            policy: plan.policy,
            program: plan.program,
            args: plan.args,
            env: plan.env,
            keep_fds,
            stdout: Stdio::from(write),
            stderr: Stdio::from(errors),
        };
        let name = &self.children[index].name;
        let launched = launch.spawn().map_err(|error| launch_error(name, error))?;
        self.children[index].log.note(&format!("pid {} started", launched.pid));
        self.children[index].started(Running {
            pid: launched.pid,
            pidfd: launched.pidfd,
            control: plan.control,
            output: Some(output),
            report: Some(launched.report),
            report_bytes: Vec::new(),
            applied: None,
            started_mono_ns: mono_ns(),
            ready_mono_ns: None,
            heard_mono_ns: None,
            useless: false,
        });
        self.connect(role, launched.pid);
        self.note_processes();
        Ok(())
    }

    /// Tells a fresh process, and those around it, about each other.
    fn connect(&mut self, role: Role, pid: u32) {
        match role {
            Role::Recorder => {
                let mut packets = Vec::new();
                let mut complete = true;
                for plane in self.planes.unrecorded() {
                    let Some(fd) = plane.open() else {
                        complete = false;
                        break;
                    };
                    packets.push((PacketKind::Generation, plane.note(), vec![fd]));
                    if plane.has_ended() {
                        packets.push((PacketKind::GenerationEnd, plane.note(), Vec::new()));
                    }
                }
                let Some(recorder) = self.child_mut(role) else { return };
                match recorder.control() {
                    Some(control) if complete => {
                        for (kind, note, fds) in packets {
                            control.send(kind, note, fds);
                        }
                    }
                    _ => recorder.kill(NO_PLANE_FOR_IT),
                }
            }
            Role::Kernel => self.link(),
            Role::Gateway => {
                self.link();
                self.announce_plane();
                for seat in 0..self.seats.len() {
                    self.announce_seat(seat);
                }
            }
            Role::Agent(agent) => {
                self.seats[agent].taken_by(pid);
                self.announce_seat(agent);
            }
        }
    }

    /// A fresh socket between kernel and gateway, whenever one of the two is new.
    fn link(&mut self) {
        let both = [Role::Kernel, Role::Gateway];
        if both.iter().any(|role| self.child(*role).is_none_or(|child| child.running().is_none())) {
            return;
        }
        let (kernel_end, gateway_end) = match rsw_os::packet::pair() {
            Ok(ends) => ends,
            Err(error) => return self.kill_gateway(&error.to_string()),
        };
        for (role, end) in both.into_iter().zip([kernel_end, gateway_end]) {
            if let Some(control) = self.child_mut(role).and_then(|child| child.control()) {
                control.send_empty(PacketKind::Link, vec![end]);
            }
        }
    }

    /// Tells the gateway about the newest plane.
    pub(super) fn announce_plane(&mut self) {
        let Some(plane) = self.planes.current() else { return };
        let (Some(fd), changed) = (plane.open(), plane.changed()) else {
            return self.kill_gateway(NO_PLANE_FOR_IT);
        };
        if let Some(control) = self.child_mut(Role::Gateway).and_then(|child| child.control()) {
            control.send(PacketKind::PlaneChanged, changed, vec![fd]);
        }
    }

    /// The next one is linked, and told of every plane and seat.
    fn kill_gateway(&mut self, why: &str) {
        if let Some(gateway) = self.child_mut(Role::Gateway) {
            gateway.kill(why);
        }
    }

    fn announce_seat(&mut self, seat: usize) {
        let (described, fds) = match self.seats[seat].hand_over() {
            Some(Ok(seat)) => seat,
            Some(Err(_)) => return self.kill_gateway("there was no descriptor for a seat"),
            None => return,
        };
        if let Some(control) = self.child_mut(Role::Gateway).and_then(|child| child.control()) {
            control.send(PacketKind::Seat, described, fds);
        }
    }

    fn plan_recorder(&mut self) -> Result<Plan, CliError> {
        let recorder = &self.topology.config.recorder;
        let durability = match recorder.durability {
            Durability::Power => "power",
            Durability::Process => "process",
        };
        let mut args = Args::new();
        args.pair("--dir", self.recording_dir())
            .pair("--run-id", run_id_text(&self.run_id))
            .pair("--project", &self.project.name)
            .pair("--topology", self.project.topology_path())
            .pair("--durability", durability)
            .pair("--spool-events", recorder.spool_events.to_string());
        args.pin(self.cores.of("recorder"));
        // It outlives a killed supervisor for as long as it takes to write down what it has.
        let mut plan = self.trusted("recorder", args, Some("record"))?;
        plan.policy.dies_with_parent = false;
        Ok(plan)
    }

    fn plan_kernel(&mut self) -> Result<Plan, CliError> {
        let generation = self.planes.current().map_or(1, |plane| plane.note().generation + 1);
        let previous = match self.planes.current() {
            None => None,
            // Without it the run would begin again.
            Some(plane) => Some(plane.open().ok_or_else(|| {
                CliError::new(exit::FAILURE, "system", NO_PLANE_FOR_IT)
                    .hint("`ulimit -Hn` shows how many files a process may open: raise that")
            })?),
        };
        let mut args = Args::new();
        args.pair("--topology", self.project.topology_path())
            .pair("--run-id", run_id_text(&self.run_id))
            .pair("--generation", generation.to_string());
        if let Some(previous) = &previous {
            args.pair("--previous-fd", previous.as_raw_fd().to_string());
        }
        args.pin(self.cores.of("kernel"));
        let mut plan = self.trusted("solver-proc", args, None)?;
        plan.kept.extend(previous);
        plan.env.extend(vulkan_environment());
        Ok(plan)
    }

    fn plan_gateway(&mut self) -> Result<Plan, CliError> {
        // Each gateway has a folder of its own: what a killed one left behind is never opened again.
        self.loan_incarnation += 1;
        let root = self.fresh_loan_root()?;
        // Agents may hold loans of the one before until they have moved over.
        while self.loan_roots.len() > 2 {
            let _ = std::fs::remove_dir_all(self.loan_roots.remove(0));
        }
        let _ = std::fs::remove_file(self.project.socket_path());
        let mut args = Args::new();
        args.pair("--socket", self.project.socket_path())
            .pair("--loan-root", root)
            .pair("--incarnation", self.loan_incarnation.to_string())
            .pair("--topology", self.project.topology_path());
        let mut plan = self.trusted("gateway", args, None)?;
        plan.policy.cpus = self.cores.of("gateway").to_vec();
        Ok(plan)
    }

    /// A new folder under a name that no agent can have taken before.
    fn fresh_loan_root(&mut self) -> Result<PathBuf, CliError> {
        let random = run_id_text(&rsw_os::process::random_id().map_err(os_error)?);
        let root = self.project.loan_dir.join(&random[..16]);
        std::fs::create_dir(&root).map_err(|error| io_error(root.display(), error))?;
        self.loan_roots.push(root.clone());
        Ok(root)
    }

    /// One of our own programs: a control socket, and what every process gives up.
    fn trusted(&self, name: &str, args: Args, verb: Option<&str>) -> Result<Plan, CliError> {
        let (ours, theirs) = rsw_os::packet::pair().map_err(os_error)?;
        let mut all: Vec<OsString> = verb.map(OsString::from).into_iter().collect();
        all.extend(["--control-fd".into(), theirs.as_raw_fd().to_string().into()]);
        all.extend(args.0);
        Ok(Plan {
            program: beside_us(name)?,
            args: all,
            env: BTreeMap::new(),
            policy: Policy::new(Profile::Trusted),
            kept: vec![theirs],
            control: Some(Channel::new(ours)),
        })
    }

    fn plan_agent(&mut self, agent: usize) -> Result<Plan, CliError> {
        let instance = self.topology.agents[agent].clone();
        let section = self.topology.config.agent.get(&instance.group).cloned().unwrap_or_default();
        let page_error = |error: rsw_attach::PageError| {
            CliError::new(exit::FAILURE, "seat", format!("{}: {error}", instance.name))
        };
        let socket = self.seats[agent].prepare().map_err(page_error)?;
        let number = socket.as_raw_fd().to_string();
        let (program, mut args) = agent_program(&section, &self.project.folder)?;
        if program.file_name().is_some_and(|name| name == "agent-proc") {
            args.extend(["--socket-fd".into(), number.clone().into()]);
        }
        let assigned = section.environment.iter().filter_map(|word| word.split_once('='));
        let mut env: BTreeMap<OsString, OsString> =
            assigned.map(|(name, value)| (name.into(), value.into())).collect();
        env.insert("RSW_SOCKET_FD".into(), number.into());
        env.insert("RSW_AGENT_NAME".into(), instance.name.clone().into());
        let policy = self.agent_policy(agent, &section, &program)?;
        Ok(Plan { program, args, env, policy, kept: vec![socket], control: None })
    }

    fn agent_policy(
        &self,
        agent: usize,
        section: &AgentSection,
        program: &Path,
    ) -> Result<Policy, CliError> {
        let isolation = self.seats[agent].isolation();
        let group = &self.topology.agents[agent].group;
        let key = format!("agent.{group}.reads");
        let read_paths = readable(&key, &self.project.folder, &section.reads)?;
        let mut policy = confined(&self.project, &self.topology, isolation, section, program);
        policy.read_paths = read_paths;
        policy.cpus = self.cores.of(&format!("agent {group}")).to_vec();
        Ok(policy)
    }

    /// Folder of the recording.
    pub(crate) fn recording_dir(&self) -> PathBuf {
        recording_dir(&self.topology)
    }
}

/// Folder of the recording of a topology, absolute.
pub(crate) fn recording_dir(topology: &Topology) -> PathBuf {
    topology.folder.join(&topology.config.recorder.dir)
}

/// What an agent of a swarm may keep.
pub(crate) fn confined(
    project: &Project,
    topology: &Topology,
    isolation: Isolation,
    section: &AgentSection,
    program: &Path,
) -> Policy {
    let mut policy = Policy::new(match isolation {
        Isolation::Sandboxed => Profile::Sandboxed,
        Isolation::Strict => Profile::Strict,
        Isolation::None => Profile::None,
    });
    if isolation == Isolation::Sandboxed {
        policy.write_folders.push(project.loan_dir.clone());
    }
    policy.execute_paths.push(program.to_owned());
    // Planes and loans are mapped, not owned: they come on top of what the agent may allocate.
    let shared = rsw_config::plane_bytes_estimate(topology) * 16 + (256 << 20);
    policy.limits.memory_bytes_max = Some((section.memory_mib << 20) + shared);
    policy
}

/// Paths that a confined agent may read, from where they are relative to; `key` names them.
pub(crate) fn readable(
    key: &str,
    folder: &Path,
    reads: &[String],
) -> Result<Vec<PathBuf>, CliError> {
    let paths: Vec<PathBuf> = reads.iter().map(|read| folder.join(read)).collect();
    match paths.iter().find(|path| !path.exists()) {
        None => Ok(paths),
        Some(path) => Err(CliError::new(
            exit::CONFIG,
            "no-such-path",
            format!("{key}: {} does not exist", path.display()),
        )
        .hint("name files and folders that are there when the agent starts")),
    }
}

/// Looks for what the agents need, before anything runs.
pub(crate) fn check_agents(topology: &Topology) -> Result<(), CliError> {
    for (name, section) in &topology.config.agent {
        if topology.agents.iter().any(|agent| agent.group == *name) {
            agent_program(section, &topology.folder)?;
            readable(&format!("agent.{name}.reads"), &topology.folder, &section.reads)?;
        }
    }
    Ok(())
}

pub(crate) fn agent_program(
    section: &AgentSection,
    folder: &Path,
) -> Result<(PathBuf, Vec<OsString>), CliError> {
    let mut words = section.command.iter();
    let first = words.next().map(String::as_str).unwrap_or("agent-proc");
    let args = words.map(OsString::from).collect();
    if first == "agent-proc" {
        return Ok((beside_us(first)?, args));
    }
    let candidates: Vec<PathBuf> = if first.contains('/') {
        vec![folder.join(first)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| folder.join(dir).join(first)).collect()
    };
    let runs = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
    };
    let found: Vec<PathBuf> = candidates.into_iter().filter(|path| path.is_file()).collect();
    match found.iter().find(|path| runs(path)).or(found.first()) {
        Some(path) if !runs(path) => Err(CliError::new(
            exit::CONFIG,
            "no-program",
            format!("agent program {} may not be executed", path.display()),
        )
        .hint("chmod +x makes it a program; in front of a script name its interpreter")),
        Some(path) => Ok((path.clone(), args)),
        None => Err(CliError::new(
            exit::CONFIG,
            "no-program",
            format!("agent program \"{first}\" does not exist"),
        )
        .hint("give a path relative to the swarm file, an absolute path, or a program on PATH")),
    }
}

/// One of our programs, beside this one.
pub(crate) fn beside_us(name: &str) -> Result<PathBuf, CliError> {
    let path = rsw_os::process::current_exe_folder().map_err(os_error)?.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(CliError::new(exit::FAILURE, "no-program", format!("{} does not exist", path.display()))
        .hint("build the whole workspace: cargo build --release"))
}

/// A run id as the programs take it.
pub(crate) fn run_id_text(run_id: &[u8; 16]) -> String {
    run_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn io_error(object: impl Display, error: std::io::Error) -> CliError {
    os_error(rsw_os::OsError::new("create", object, error))
}

struct Args(Vec<OsString>);

impl Args {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Cores that the program pins itself to, if any.
    fn pin(&mut self, cpus: &[usize]) {
        if !cpus.is_empty() {
            self.pair("--pin", rsw_os::affinity::format_list(cpus));
        }
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(name.into());
        self.0.push(value.into());
        self
    }
}
