-- One role for each position, with what the position needs and nothing else. The proxy's policy says more narrowly what a
-- person may do; these grants bound what could happen if it said too much. Run at every start, so it must bear repetition.

REVOKE ALL ON DATABASE civil FROM PUBLIC; -- no CREATE, no TEMP, not even CONNECT
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE civil TO shiguan_catalogue, civil_affairs_clerk, civil_affairs_manager, housing_fund_clerk,
    audit_office_auditor, it_centre_load_test;

GRANT USAGE ON SCHEMA civil TO civil_affairs_clerk, civil_affairs_manager, housing_fund_clerk, audit_office_auditor;
GRANT USAGE ON SCHEMA housing TO housing_fund_clerk, audit_office_auditor;
GRANT USAGE ON SCHEMA welfare TO audit_office_auditor;

GRANT SELECT ON civil.citizens, civil.households, civil.citizen_names TO civil_affairs_clerk;

GRANT SELECT ON ALL TABLES IN SCHEMA civil TO civil_affairs_manager;
GRANT UPDATE (phone, address) ON civil.citizens TO civil_affairs_manager;

GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA housing TO housing_fund_clerk;
GRANT SELECT (id_number, name) ON civil.citizens TO housing_fund_clerk;
GRANT SELECT ON civil.citizen_names TO housing_fund_clerk;

GRANT SELECT ON ALL TABLES IN SCHEMA civil, housing, welfare, public TO audit_office_auditor;
ALTER DEFAULT PRIVILEGES FOR ROLE it_centre_load_test IN SCHEMA public GRANT SELECT ON TABLES TO audit_office_auditor;

-- `pgbench -i` drops its tables and makes them again.
GRANT CREATE, USAGE ON SCHEMA public TO it_centre_load_test;
ALTER TABLE public.pgbench_history OWNER TO it_centre_load_test;
ALTER TABLE public.pgbench_tellers OWNER TO it_centre_load_test;
ALTER TABLE public.pgbench_accounts OWNER TO it_centre_load_test;
ALTER TABLE public.pgbench_branches OWNER TO it_centre_load_test;
