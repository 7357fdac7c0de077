-- What 03_ops.sql made is dropped, and what is in it is lost; only the record of applied files
-- stays, which earlier versions need, too.

DROP TABLE IF EXISTS ops.leases;
DROP TABLE IF EXISTS ops.late_trades;
