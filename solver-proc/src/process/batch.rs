//! Agent metrics of several ticks as one Arrow IPC stream.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, UInt32Builder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use rsw_schemas::batch::{ColumnType, METRIC_COLUMNS};
use rsw_schemas::event::AgentMetric;

/// Rows of the ticks since the last batch.
pub(super) struct Batcher {
    schema: Arc<Schema>,
    tick: UInt64Builder,
    t_ns: Int64Builder,
    agent_id: UInt32Builder,
    reals: [Float64Builder; 7],
    first_tick: u64,
    last_tick: u64,
    rows: usize,
    stream: Vec<u8>,
}

/// What is known of a finished stream.
pub(super) struct Finished<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) first_tick: u64,
    pub(super) last_tick: u64,
    pub(super) rows: u32,
}

impl Batcher {
    pub(super) fn new() -> Self {
        let fields = METRIC_COLUMNS.iter().map(|(name, column, nullable, _)| {
            let data_type = match column {
                ColumnType::U64 => DataType::UInt64,
                ColumnType::I64 => DataType::Int64,
                ColumnType::U32 => DataType::UInt32,
                ColumnType::F64 => DataType::Float64,
            };
            Field::new(*name, data_type, *nullable)
        });
        Self {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            tick: UInt64Builder::new(),
            t_ns: Int64Builder::new(),
            agent_id: UInt32Builder::new(),
            reals: Default::default(),
            first_tick: 0,
            last_tick: 0,
            rows: 0,
            stream: Vec::new(),
        }
    }

    /// Adds one row; undefined values (NaN) become null.
    pub(super) fn row(&mut self, metric: &AgentMetric, t_ns: i64) {
        if self.rows == 0 {
            self.first_tick = metric.tick;
        }
        self.last_tick = metric.tick;
        self.rows += 1;
        self.tick.append_value(metric.tick);
        self.t_ns.append_value(t_ns);
        self.agent_id.append_value(metric.agent_id);
        let values = [metric.d, metric.c, metric.g, metric.tau, metric.ci, metric.u, metric.drive];
        let columns = &METRIC_COLUMNS[METRIC_COLUMNS.len() - values.len()..];
        for ((builder, value), (_, _, nullable, _)) in
            self.reals.iter_mut().zip(values).zip(columns)
        {
            builder.append_option((!nullable || !value.is_nan()).then_some(value));
        }
    }

    /// Ticks covered so far.
    pub(super) fn ticks(&self) -> u64 {
        if self.rows == 0 { 0 } else { self.last_tick - self.first_tick + 1 }
    }

    /// The rows as a stream; begins anew. `None` without rows.
    pub(super) fn finish(&mut self) -> Result<Option<Finished<'_>>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows) as u32;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.tick.finish()),
            Arc::new(self.t_ns.finish()),
            Arc::new(self.agent_id.finish()),
        ];
        columns.extend(self.reals.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        self.stream.clear();
        let mut writer = StreamWriter::try_new(&mut self.stream, &self.schema)?;
        writer.write(&batch)?;
        writer.finish()?;
        drop(writer);
        Ok(Some(Finished {
            bytes: &self.stream,
            first_tick: self.first_tick,
            last_tick: self.last_tick,
            rows,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_ipc::reader::StreamReader;

    #[test]
    fn rows_come_back_and_undefined_is_null() {
        let mut batcher = Batcher::new();
        for tick in 5..8 {
            let mut metric: AgentMetric = bytemuck::Zeroable::zeroed();
            (metric.tick, metric.agent_id, metric.d, metric.ci) = (tick, 3, f64::NAN, 0.5);
            metric.drive = 1.0;
            batcher.row(&metric, tick as i64 * 10);
        }
        assert_eq!(batcher.ticks(), 3);
        let finished = batcher.finish().expect("a stream").expect("rows");
        assert_eq!((finished.first_tick, finished.last_tick, finished.rows), (5, 7, 3));
        let mut reader = StreamReader::try_new(finished.bytes, None).expect("a schema");
        let batch = reader.next().expect("a batch").expect("which decodes");
        assert_eq!(batch.num_rows(), 3);
        assert_eq!(batch.column(3).null_count(), 3);
        assert_eq!(batch.column(7).null_count(), 0);
        assert!(batcher.finish().expect("nothing fails").is_none());
    }
}
